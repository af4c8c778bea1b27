"""What an area may be told of the map of its plane, and what it reads there."""

from __future__ import annotations

import math
from itertools import combinations

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pairsim.model.assignment import Member
from pairsim.model.authority import Authority, Cell
from pairsim.model.geometry import Box, overlapping_pair
from tests.builders import cube

PLANE = Box((0.0, 0.0, 0.0), (1000.0, 800.0, 600.0))
WEST, EAST = PLANE.split(2)
REPLICA = Member(replica="sim-1", peer="127.0.0.1:1", url="http://127.0.0.1:2")


def cell(number: int, area: str, bounds: Box) -> Cell:
    return Cell(number=number, area=area, bounds=bounds, replicas=(REPLICA,))


def known(*cells: Cell, area: str = "west", version: int = 3) -> Authority:
    return Authority(area=area, version=version, cells=cells)


def test_an_area_finds_its_own_cell_and_the_cells_of_others() -> None:
    west, east = cell(2, "west", WEST), cell(7, "east", EAST)
    authority = known(west, east)
    assert (authority.own, authority.number, authority.bounds(PLANE)) == (west, 2, WEST)
    assert authority.cell_at((500.0, 0.0, 0.0)) is east, "a cell has its lower edge"
    assert authority.cell_at(WEST.min) is west
    assert authority.cell_at(PLANE.max) is None, "a cell has not got its upper edge"
    assert authority.cell_at((math.nan, 1.0, 1.0)) is None


def test_an_area_without_a_cell_has_no_number_and_no_box() -> None:
    drained = known(cell(7, "east", EAST))
    assert (drained.own, drained.number, drained.bounds(PLANE)) == (None, 0, None)


def test_an_area_has_the_box_of_its_document_until_its_first_grant() -> None:
    fresh = Authority.before_grants("west")
    assert (fresh.version, fresh.number, fresh.own, fresh.bounds(WEST)) == (0, 0, None, WEST)


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        ((cell(2, "west", WEST), cell(2, "east", EAST)), "the areas west and east have the same number, 2"),
        ((cell(2, "west", WEST), cell(1, "east", EAST)), "cells must be sorted by number: 1 follows 2"),
        ((cell(1, "west", WEST), cell(2, "west", EAST)), "the area west has two cells"),
        ((cell(1, "west", WEST), cell(2, "east", PLANE)), "the cells of west and east overlap"),
    ],
)
def test_cells_that_cannot_be_of_one_plane_are_refused(cells: tuple[Cell, ...], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        known(*cells)
    document = {"area": "west", "version": 3, "cells": msgspec.to_builtins(cells)}
    with pytest.raises(msgspec.ValidationError, match=sentence):
        msgspec.convert(document, Authority)


@pytest.mark.parametrize("number", [0, 2**31])
def test_a_number_fits_a_column_of_int32(number: int) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"number": number, "area": "west", "bounds": msgspec.to_builtins(WEST)}, Cell)


def test_version_0_has_no_cells() -> None:
    with pytest.raises(ValueError, match="version 0"):
        known(cell(1, "west", WEST), version=0)


def test_a_check_that_failed_is_made_again() -> None:
    cells = (cell(1, "west", WEST), cell(2, "east", PLANE))
    for _ in range(2):
        with pytest.raises(ValueError, match="overlap"):
            known(*cells)


SIDES = st.integers(0, 6)
BOXES = st.builds(
    lambda low, size: Box(
        tuple(float(v) for v in low),  # type: ignore[arg-type]
        tuple(float(a + b) for a, b in zip(low, size, strict=True)),  # type: ignore[arg-type]
    ),
    st.tuples(SIDES, SIDES, SIDES),
    st.tuples(*[st.integers(1, 3)] * 3),
)
PINWHEEL = [
    Box((0.0, 0.0, 0.0), (2.0, 1.0, 1.0)), Box((2.0, 0.0, 0.0), (3.0, 2.0, 1.0)), Box((1.0, 2.0, 0.0), (3.0, 3.0, 1.0)),
    Box((0.0, 1.0, 0.0), (1.0, 3.0, 1.0)), Box((1.0, 1.0, 0.0), (2.0, 2.0, 1.0)),
]  # fmt: skip


@given(st.lists(BOXES, max_size=9))
@example(PINWHEEL)
@example([*PINWHEEL, cube(1.0)])
def test_two_boxes_that_share_a_volume_are_found_if_there_are_any(boxes: list[Box]) -> None:
    sharing = {pair for pair in combinations(range(len(boxes)), 2) if boxes[pair[0]].overlaps(boxes[pair[1]])}
    found = overlapping_pair(boxes)
    assert found in sharing if sharing else found is None


@pytest.mark.parametrize("parts", [1, 7, 64, 1000])
def test_the_parts_of_a_plane_do_not_overlap(parts: int) -> None:
    boxes = PLANE.split(parts)
    assert overlapping_pair(boxes) is None
    assert overlapping_pair([*boxes, PLANE]) is not None
