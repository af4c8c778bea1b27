"""The map of a plane as one area knows it: the cells of areas, and who owns a position.

Cells are half-open boxes. A position is compared in the dtype of its column, into which the bounds of all cells are
converted alike, so that cells which share a face in the map leave no gap between them and never overlap. A position
with a NaN is in no cell.
"""

from __future__ import annotations

import functools
import itertools
import operator
from typing import cast

import msgspec
import numpy as np
import numpy.typing as npt
import xxhash

from pairsim.model.authority import Cell, MapVersion
from pairsim.model.geometry import Box
from pairsim.model.state.table_memory import Column

Points = npt.NDArray[np.float64]
"""Positions, (n, axes), and bounds; numbers of any one dtype, and float64 as far as the type checker is concerned."""

_MOST_AXES = 3
_CHUNK_ROWS, _FOLD_ROWS = 131_072, 256
"""Positions are looked at in chunks that fit the processor's cache. A chunk is folded to rows of so many positions, so
that the minima and maxima of its axes are those of long rows."""


class AreaMap(msgspec.Struct, frozen=True, array_like=True, dict=True):
    """The cells of a plane in one version.

    Attributes:
        version: The version; a larger one is newer, and 0 is that before the first grant.
        cells: The cells in the order of their areas' numbers.
    """

    version: MapVersion = 0
    cells: tuple[Cell, ...] = ()

    def __post_init__(self) -> None:
        if any(a.number >= b.number for a, b in itertools.pairwise(self.cells)):
            raise ValueError("the cells of a map are in the order of their areas' numbers, each once")

    @functools.cached_property
    def digest(self) -> int:
        """The xxh3 hash of the map."""
        return xxhash.xxh3_64_intdigest(msgspec.msgpack.encode(self))

    def cell(self, number: int) -> Cell | None:
        """Returns the cell of an area; None if it has none."""
        return self._by_number.get(number)

    def rows_outside(self, number: int, positions: Column) -> npt.NDArray[np.intp]:
        """Returns the rows whose positions are not in the cell of an area, in ascending order.

        Args:
            number: The number of the area. Without a cell, all rows are outside.
            positions: C-contiguous, (n,) or (n, axes) with up to three axes.
        """
        cell = self.cell(number)
        if cell is None:
            return np.arange(len(positions))
        points = _with_axes(positions)
        return _rows_outside(points, *_bounds((cell,), points))

    def owners(self, positions: Column) -> npt.NDArray[np.int32]:
        """Returns the number of the area that owns each position, int32 (n,); 0 for none.

        Of cells that overlap, which no map should have, the one with the lowest number owns the position.
        """
        points = _with_axes(positions)
        owners = np.zeros(len(points), np.int32)
        left = np.arange(len(points))
        lows, highs = _bounds(self.cells, points)
        for cell, low, high in zip(self.cells, lows, highs, strict=True):
            if not len(left):
                break
            inside = np.logical_and.reduce([(p >= a) & (p < b) for p, a, b in zip(points.T, low, high, strict=True)])
            owners[left[inside]] = cell.number
            left, points = left[~inside], points[~inside]
        return owners

    def neighbours(self, number: int) -> tuple[Cell, ...]:
        """Returns the cells that touch the cell of an area, in a face, an edge or a corner; none if it has no cell."""
        own = self.cell(number)
        if own is None:
            return ()
        return tuple(cell for cell in self.cells if cell is not own and _touch(own.bounds, cell.bounds))

    @functools.cached_property
    def _by_number(self) -> dict[int, Cell]:
        return {cell.number: cell for cell in self.cells}


def _touch(a: Box, b: Box) -> bool:
    return all(map(operator.le, a.min, b.max)) and all(map(operator.le, b.min, a.max))


def _with_axes(positions: Column) -> Points:
    axes = positions.shape[1] if positions.ndim > 1 else 1
    if axes > _MOST_AXES:
        raise ValueError(f"the component position has up to {_MOST_AXES} axes, not {axes}")
    return cast("Points", positions.reshape(len(positions), axes))


def _bounds(cells: tuple[Cell, ...], points: Points) -> tuple[Points, Points]:
    """Returns the lower and upper bounds of cells, (cells, axes), to be compared with these points."""
    bounds = np.array([(c.bounds.min, c.bounds.max) for c in cells]).reshape(-1, 2, 3)[:, :, : points.shape[1]]
    if points.dtype.kind == "f":
        largest = float(np.finfo(points.dtype).max)
        bounds = np.clip(bounds, -largest, largest).astype(points.dtype)
    else:
        bounds = cast("Points", np.clip(np.ceil(bounds), -(2.0**62), 2.0**62).astype(np.int64))
    return bounds[:, 0], bounds[:, 1]


def _rows_outside(points: Points, low: Points, high: Points) -> npt.NDArray[np.intp]:
    """Returns the rows of points that are not in a box, of which most or all are expected to be in it."""
    found = [np.empty(0, np.intp)]
    axes = points.shape[1]
    lows, highs = np.tile(low[0], _FOLD_ROWS), np.tile(high[0], _FOLD_ROWS)
    whole = len(points) // _FOLD_ROWS * _FOLD_ROWS
    with np.errstate(invalid="ignore"):
        for start in range(0, whole, _CHUNK_ROWS):
            folded = points[start : min(start + _CHUNK_ROWS, whole)].reshape(-1, _FOLD_ROWS * axes)
            # A NaN is the minimum and the maximum of its axis, and is not in the box.
            below = not (folded.min(axis=0) >= lows).all()
            above = not (folded.max(axis=0) < highs).all()
            if below or above:
                outside = ~(folded >= lows) if below else ~(folded < highs)
                if below and above:
                    outside |= ~(folded < highs)
                found.append(start + _rows_of(outside, axes))
        rest = points[whole:]
        found.append(whole + _rows_of(~((rest >= low) & (rest < high)), axes))
    return np.concatenate(found)


def _rows_of(flags: npt.NDArray[np.bool_], axes: int) -> npt.NDArray[np.intp]:
    """Returns the rows of which a number is flagged, each once."""
    rows = np.flatnonzero(flags) // axes
    return rows if axes == 1 or not len(rows) else rows[np.concatenate(([True], rows[1:] != rows[:-1]))]
