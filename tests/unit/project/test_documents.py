"""What the documents name exists: files, folders, functions, tests, import contracts and links."""

from __future__ import annotations

import ast
import functools
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.project.sources import ROOT, files

ARCHITECTURE = ROOT / "docs" / "architecture.md"
DOCUMENTS = (ARCHITECTURE, ROOT / "CONTRIBUTING.md", ROOT / "README.md", ROOT / "CHANGELOG.md")
CODE_ROOTS = ("pairsim", "controller/pairsim_controller", "chaos/pairsim_chaos")
"""Folders whose packages are all in the map."""

FOLDER_ROOTS = ("tests", "manifests", "grafana", "chaos", "docs")
"""Folders whose direct folders are in the map."""

PATH = re.compile(
    r"(?<![\w./-])(?:pairsim|controller|chaos|grafana|manifests|examples|docs|requirements|tests|\.ci)/[\w./-]*\w"
)
TEST = re.compile(r"(tests/[\w/]+\.py)::(\w+)")
CODE = re.compile(r"`([\w/]+\.py):\s+([\w.]+)`")
SHORT_CODE = re.compile(r"`([A-Z]\w+\.\w+)`")
MAP_LINE = re.compile(r"^( *)([\w.-]+(?:/[\w.-]+)*)/(?=\s)")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@functools.cache
def definitions(path: Path) -> frozenset[str]:
    """Returns the functions, classes and methods of a module, methods as `Class.method`; none without the file."""
    if not path.exists():
        return frozenset()
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = (part for part in node.body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef))
            found |= {f"{node.name}.{part.name}" for part in methods}
    return frozenset(found)


def mapped_folders() -> set[str]:
    """Returns the folders of the map in docs/architecture.md: an indentation of two spaces is one level."""
    tree = ARCHITECTURE.read_text().split("```")[1]
    levels: list[str] = []
    found = set()
    for line in tree.splitlines():
        if match := MAP_LINE.match(line):
            levels = [*levels[: len(match[1]) // 2], match[2]]
            found.add("/".join(levels))
    return found


def prose_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yields the numbered lines of a document that are not code."""
    fence = False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.lstrip().startswith("```"):
            fence = not fence
        elif not fence:
            yield number, re.sub(r"`[^`]*`", "", line)


def anchors(path: Path) -> set[str]:
    """Returns the anchors of a document's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ +(.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_path_exists(document: Path) -> None:
    missing = {found for found in PATH.findall(document.read_text()) if not (ROOT / found).exists()}
    assert not missing, f"{document.name} names files or folders that do not exist: {sorted(missing)}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_test_exists(document: Path) -> None:
    named = TEST.findall(document.read_text())
    missing = {f"{path}::{name}" for path, name in named if name not in definitions(ROOT / path)}
    assert not missing, f"{document.name} names tests that do not exist: {sorted(missing)}"


def test_every_entry_point_exists() -> None:
    text = ARCHITECTURE.read_text()
    named = CODE.findall(text)
    missing = {f"{path}: {name}" for path, name in named if name not in definitions(ROOT / path)}
    assert not missing, f"these entry points do not exist: {sorted(missing)}"
    known = {name for path in {path for path, _ in named} for name in definitions(ROOT / path)}
    unknown = {name for name in SHORT_CODE.findall(text) if name not in known}
    assert not unknown, f"these methods are in none of the files that the page names: {sorted(unknown)}"


def test_every_contract_exists() -> None:
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = {contract["name"] for contract in configuration["tool"]["importlinter"]["contracts"]}
    text = ARCHITECTURE.read_text()
    named = {*re.findall(r'^\| "([^"]+)" \|', text, re.MULTILINE), *re.findall(r'contract "([^"]+)"', text)}
    assert named
    assert named <= contracts, f"pyproject.toml lacks these contracts: {sorted(named - contracts)}"


def test_the_map_shows_every_folder_and_no_other() -> None:
    listed = [path.relative_to(ROOT) for path in files("")]
    packages = {str(path.parent) for path in listed if path.suffix == ".py"}
    expected = {folder for folder in packages if folder.startswith(CODE_ROOTS)}
    expected |= {"/".join(path.parts[:2]) for path in listed if path.parts[0] in FOLDER_ROOTS and len(path.parts) > 2}
    mapped = mapped_folders()
    assert not expected - mapped, f"the map lacks these folders: {sorted(expected - mapped)}"
    missing = {folder for folder in mapped if not (ROOT / folder).is_dir()}
    assert not missing, f"the map shows folders that do not exist: {sorted(missing)}"


def test_every_relative_link_leads_somewhere() -> None:
    broken = []
    for document in files(".md"):
        for number, line in prose_lines(document):
            for link in LINK.findall(line):
                target, _, anchor = link.partition("#")
                if re.match(r"\w+:", link):
                    continue
                path = (document.parent / target).resolve() if target else document
                if not path.exists() or (anchor and anchor not in anchors(path)):
                    broken.append(f"{document.relative_to(ROOT)}:{number}: {link}")
    assert not broken, "these links lead nowhere:\n" + "\n".join(broken)
