"""The structure of the product stays easy to see: small modules and folders, and a name of its own for each class."""

from __future__ import annotations

import ast
from collections import defaultdict

import pytest

from tests.unit.project.sources import ROOT, modules

PRODUCT = ("pairsim", "controller", "chaos", "grafana")
MAX_LINES = 400
MAX_MODULES = 12
MAX_PUBLIC_METHODS = 20
MAX_TEST_LINES = 450


def classes() -> list[tuple[str, ast.ClassDef]]:
    return [
        (str(path.relative_to(ROOT)), node)
        for path in modules(*PRODUCT)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    ]


@pytest.mark.parametrize(("folders", "limit"), [(PRODUCT, MAX_LINES), (("tests", "examples"), MAX_TEST_LINES)])
def test_a_module_holds_one_idea(folders: tuple[str, ...], limit: int) -> None:
    lengths = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in modules(*folders)}
    long = {str(path): length for path, length in lengths.items() if length > limit}
    assert not long, f"these modules have more than {limit} lines, so cut them by concern: {long}"


def test_a_folder_can_be_read_at_a_glance() -> None:
    folders: dict[str, int] = defaultdict(int)
    for path in modules(*PRODUCT):
        folders[str(path.parent.relative_to(ROOT))] += path.name != "__init__.py"
    crowded = {folder: count for folder, count in folders.items() if count > MAX_MODULES}
    assert not crowded, f"these folders have more than {MAX_MODULES} modules, so make rooms in them: {crowded}"


def test_a_class_name_means_one_thing() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for place, node in classes():
        places[node.name.lstrip("_")].append(f"{place}:{node.lineno}")
    twice = {name: found for name, found in places.items() if len(found) > 1}
    assert not twice, f"these class names exist more than once, so give each its own: {twice}"


def test_a_class_has_few_public_methods() -> None:
    counts = {
        f"{place}: {node.name}": sum(
            isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef) and not part.name.startswith("_")
            for part in node.body
        )
        for place, node in classes()
    }
    large = {name: count for name, count in counts.items() if count > MAX_PUBLIC_METHODS}
    assert not large, f"these classes have more than {MAX_PUBLIC_METHODS} public methods, so divide them: {large}"


def test_replication_reads_no_clock_and_sleeps_by_no_clock_that_can_be_shifted() -> None:
    """`pairsim.replication.clock` and `pairsim.replication.waiting` are the steady ones."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in modules("pairsim/replication")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) in {("time", "sleep"), ("time", "monotonic"), ("asyncio", "run")}
    ]
    assert not found, f"use pairsim.replication.clock and pairsim.replication.waiting there: {found}"


def test_every_server_checks_hosts_and_origins() -> None:
    """`serve_app` adds the check, so no other module may open an HTTP server."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in modules(*PRODUCT)
        if path != ROOT / "pairsim/server/http/listener.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr
        in {"AppRunner", "ServerRunner", "TCPSite", "SockSite", "UnixSite", "run_app", "start_http_server"}
    ]
    assert not found, f"serve with pairsim.server.http.listener.serve_app there: {found}"
