"""Fixtures: one cluster and one world for all tests; each test creates its own areas."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.cluster.backends import Cluster, choose
from tests.cluster.native.sandbox import ClusterError
from tests.cluster.native.tools import MissingToolsError
from tests.cluster.report import Report
from tests.cluster.stream import client_of
from tests.cluster.world import World

_REPORT = Report()
_LAST = "test_every_right_is_used_and_no_right_is_missing"
_BEFORE = {
    "test_the_actives_process_is_killed_repeatedly",
    "test_a_plane_is_scaled_to_the_areas_it_is_cut_into",
}


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    found = choose()
    try:
        found.open()
    except (MissingToolsError, ClusterError) as error:
        found.close()
        pytest.exit(f"no cluster: {error}", returncode=2)
    try:
        found.load_image("dev")
        yield found
    finally:
        found.close()


@pytest.fixture(scope="session")
def world(cluster: Cluster) -> Iterator[World]:
    made = World(cluster)
    try:
        made.install("small")
        yield made
        assert made.roles.doubled == []
    finally:
        made.close()


@pytest.fixture
def new_area(world: World) -> Iterator[Callable[..., str]]:
    """Creates areas that are deleted after the test."""
    names: list[str] = []

    def make(**options: int) -> str:
        names.append(world.new_area(**options))
        return names[-1]

    yield make
    for name in names:
        world.kubectl("delete", "pod", client_of(name), "--ignore-not-found", "--grace-period=0", "--force")
        world.remove(name)
    assert world.roles.doubled == []


@pytest.fixture
def pair(world: World, new_area: Callable[..., str]) -> str:
    """Returns an area whose passive could take over."""
    name = new_area()
    world.redundant(name)
    return name


@pytest.fixture
def report() -> Report:
    return _REPORT


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Runs the test of the controller's rights last, and only with all other tests, whose requests it evaluates."""
    items.sort(key=lambda item: item.path.name == "test_rights.py")
    names = {item.name for item in items}
    for item in items:
        if item.name == _LAST and not names >= _BEFORE:
            item.add_marker(pytest.mark.skip(f"this test needs these tests before it: {', '.join(sorted(_BEFORE))}"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows = _REPORT.rows()
    if not rows:
        return
    _REPORT.write()
    table = [("figure", "n", "p50", "p99", "max", "unit"), *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    terminalreporter.section("figures")
    for row in table:
        terminalreporter.write_line("  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)))
