"""A position is in one cell, compared in its own dtype; the quick look finds the same rows as a look at each."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pairsim.model.authority import Cell
from pairsim.model.borders import AreaMap
from pairsim.model.geometry import Box
from tests.unit.model.borders.examples import row_of_cells

MAP = row_of_cells(edges=(0.0, 10.0, 20.1, 30.0))
"""20.1 is no number of float32."""

INTERESTING = [
    -1.0,
    -0.0,
    0.0,
    5.0,
    9.9999999,
    10.0,
    20.1,
    np.nextafter(20.1, 0.0),
    29.9,
    30.0,
    np.inf,
    -np.inf,
    np.nan,
]


def reference(number: int, positions: npt.NDArray[np.float64]) -> list[int]:
    """Returns the rows outside a cell, one after the other."""
    cell = MAP.cell(number)
    assert cell is not None
    points = positions if positions.ndim > 1 else positions.reshape(-1, 1)
    low = np.array(cell.bounds.min[: points.shape[1]]).astype(positions.dtype)
    high = np.array(cell.bounds.max[: points.shape[1]]).astype(positions.dtype)
    return [row for row, p in enumerate(points) if not all(a <= v < b for a, v, b in zip(low, p, high, strict=True))]


@settings(max_examples=60, deadline=None)
@given(
    axes=st.integers(1, 3),
    rows=st.sampled_from([0, 1, 2, 255, 256, 257, 700]),
    dtype=st.sampled_from(["float32", "float64"]),
    seed=st.integers(0, 1_000),
)
def test_the_quick_look_finds_the_rows_outside(axes: int, rows: int, dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    positions = rng.uniform(10.0, 20.0, (rows, axes)).astype(dtype)
    positions[:, 1:] = 5.0
    for row in rng.integers(0, rows, 3 if rows else 0):
        positions[row, rng.integers(0, axes)] = rng.choice(INTERESTING)
    positions = positions[:, 0].copy() if axes == 1 else positions
    assert MAP.rows_outside(2, positions).tolist() == reference(2, positions)


@pytest.mark.parametrize("row", [0, 131_071, 131_072, 200_000, 262_143, 262_144, 262_200])
@pytest.mark.parametrize("value", [-1.0, 10.0, np.nan])
def test_the_quick_look_finds_one_of_many_rows(row: int, value: float) -> None:
    positions = np.ones((262_201, 3), np.float32)
    positions[row, row % 3] = value
    assert MAP.rows_outside(1, positions).tolist() == [row]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "uint16", "int64"])
def test_each_position_between_cells_has_one_owner(dtype: str) -> None:
    if dtype.startswith("float"):
        near = np.array([10.0, 20.1], dtype)
        positions = np.concatenate([near, np.nextafter(near, 0), np.nextafter(near, 100), [0, 29]]).astype(dtype)
    else:
        positions = np.arange(30).astype(dtype)
    owners = MAP.owners(positions)
    assert (owners > 0).all()
    for cell in MAP.cells:
        outside = set(MAP.rows_outside(cell.number, positions).tolist())
        assert outside == set(np.flatnonzero(owners != cell.number).tolist())


def test_a_position_that_is_nowhere_has_no_owner() -> None:
    assert MAP.owners(np.array([np.nan, np.inf, -np.inf, 30.0, -0.1])).tolist() == [0] * 5
    assert MAP.owners(np.array([[5.0, 10.0, 5.0], [5.0, 5.0, 5.0]])).tolist() == [0, 1]
    assert MAP.owners(np.empty((0, 3), np.float32)).tolist() == []


def test_bounds_beyond_a_dtype_do_not_hold_what_is_infinite() -> None:
    huge = AreaMap(1, (Cell(number=1, area="a", bounds=Box((-1e300, -1.0, -1.0), (1e300, 1.0, 1.0))),))
    positions = np.array([-np.inf, -3e38, 0.0, np.inf], np.float32)
    assert huge.rows_outside(1, positions).tolist() == [0, 3]


def test_an_area_without_a_cell_has_everything_outside() -> None:
    assert MAP.rows_outside(9, np.ones(3)).tolist() == [0, 1, 2]


def test_a_position_of_four_axes_is_refused() -> None:
    with pytest.raises(ValueError, match="up to 3 axes, not 4"):
        MAP.rows_outside(1, np.ones((5, 4)))


def test_the_cells_of_a_map_are_in_order() -> None:
    with pytest.raises(ValueError, match="in the order of their areas' numbers"):
        AreaMap(1, MAP.cells[::-1])


def test_neighbours_share_a_face_an_edge_or_a_corner() -> None:
    boxes = {1: (0, 0), 2: (1, 0), 3: (2, 0), 5: (0, 1), 6: (1, 1), 9: (3, 3)}
    cells = tuple(
        Cell(number=n, area=f"area-{n}", bounds=Box((x, y, 0.0), (x + 1.0, y + 1.0, 1.0)))
        for n, (x, y) in boxes.items()
    )
    known = AreaMap(1, cells)
    assert [cell.number for cell in known.neighbours(1)] == [2, 5, 6]
    assert [cell.number for cell in known.neighbours(9)] == []
    assert known.neighbours(4) == ()
