"""What `pairsim status` shows of borders."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from pairsim.cli import status
from pairsim.model.crossings.border_status import BorderStatus, NeighbourStatus
from pairsim.model.crossings.conservation import Balance
from pairsim.model.world_status import AreaStatusView, ProcessRow, ReplicaRow, WorldStatus
from tests.unit.controller.builders import BOX

STALLED = NeighbourStatus(number=2, area="east", connected=True, waiting=1204, waiting_seconds=5.2)


def world(*neighbours: NeighbourStatus) -> WorldStatus:
    borders = BorderStatus(in_per_second=103.4, out_per_second=98.0, waiting=1204, neighbours=neighbours)
    pair = [
        ReplicaRow(f"sim-{number}", role, 3, 7_654, 0, 2_000, "http://127.0.0.1:24601", 4711)
        for number, role in ((1, "active"), (2, "passive"))
    ]
    witness = ProcessRow("", 4712, "witness-1")
    area = AreaStatusView(
        "west", "physics", BOX, True, 1, pair, witness, number=5, version=8, borders=borders
    )  # fmt: skip
    return WorldStatus([area], [], [Balance("physics", 4_000, 0, 3_997, 3, 0)])


def shown(seen: WorldStatus, width: int) -> list[str]:
    screen = Console(width=width, file=io.StringIO(), force_terminal=True, color_system=None)
    screen.print(status.render(seen, width))
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue().splitlines()


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.replace("┃", "│").split("│")[1:-1]]


def test_an_area_with_neighbours_has_columns_about_its_borders() -> None:
    lines = shown(world(STALLED), 200)
    head, active, passive = cells(lines[2]), cells(lines[4]), cells(lines[5])
    names = ("in/s", "out/s", "waiting", "number", "map")
    assert [active[head.index(name)] for name in names] == ["103", "98", "1204", "5", "8"]
    assert [passive[head.index(name)] for name in names] == [""] * 5
    assert "physics: 3,997 entities: 4,000 born, 0 died, 3 on their way" in lines
    assert "west: 1,204 entities wait for east, which has taken nothing for 5 s" in lines


def test_a_world_without_borders_has_no_such_columns() -> None:
    head = cells(shown(world(), 200)[2])
    assert not {"in/s", "out/s", "waiting", "number", "map"} & set(head)


@pytest.mark.parametrize(("width", "kept"), [(160, True), (100, True), (80, False)])
def test_a_narrow_terminal_leaves_them_out_last(width: int, kept: bool) -> None:
    lines = shown(world(STALLED), width)
    assert max(map(len, lines)) <= width
    assert ("out/s" in cells(lines[2])) is kept
