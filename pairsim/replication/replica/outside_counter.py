"""Counts the entities of an area whose position is outside of the bounds that the area has authority over.

A simulator moves entities freely, and an entity stays in its area wherever it goes. The count shows how many have left.
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import numpy.typing as npt

from pairsim.model.geometry import Box
from pairsim.model.state.table import TableView
from pairsim.protocol.bounds import POSITION

COUNT_SECONDS = 1.0
"""The time from the start of one count to the start of the next."""

ROWS_PER_TURN = 32_768
"""How many entities are looked at in a turn, which takes about 0.1 ms. A larger table takes several turns."""


class OutsideCounter:
    """The newest count; written by the replica thread.

    Entities that come and go between the turns of one count may be missed or counted twice.

    Attributes:
        count: The number of entities outside; 0 if entities have no position.
    """

    def __init__(self, world: Box) -> None:
        """Starts at zero; `world` is the box of the plane, whose upper edge belongs to it."""
        self.count = 0
        self._world = world
        self._due = -math.inf
        self._next_row, self._found = 0, 0

    def update(self, now: float, table: TableView, bounds: Box | None) -> None:
        """Goes on with a count, or begins one `COUNT_SECONDS` after the last; `now` is of a monotonic clock."""
        if self._next_row == 0:
            if now < self._due:
                return
            self._due, self._found = now + COUNT_SECONDS, 0
        rows = slice(self._next_row, self._next_row + ROWS_PER_TURN)
        self._found += count_outside(table, bounds, self._world, rows)
        self._next_row = rows.stop if rows.stop < len(table) else 0
        if self._next_row == 0:
            self.count = self._found


def count_outside(table: TableView, bounds: Box | None, world: Box, rows: slice = slice(None)) -> int:
    """Returns how many entities are outside of a half-open box; positions that are not numbers are outside.

    A simulator keeps entities in the world by setting them on its edge, so that edge counts as inside.

    Args:
        table: The entities.
        bounds: The box; None if the area has no cell, so that all entities are outside.
        world: The box of the plane.
        rows: The rows of the table to look at.
    """
    if POSITION not in table.schema or table.schema[POSITION].width != 3:
        return 0
    position = cast("npt.NDArray[np.floating]", table.column(POSITION))[rows]
    if bounds is None:
        return len(position)
    inside = np.ones(len(position), np.bool_)
    for axis, (low, high, edge) in enumerate(zip(bounds.min, bounds.max, world.max, strict=True)):
        values = position[:, axis]
        lowest, highest = _rounded(low, values), _rounded(high, values)
        inside &= values >= lowest
        inside &= values <= highest if high == edge else values < highest
    return len(position) - int(np.count_nonzero(inside))


def _rounded(bound: float, values: npt.NDArray[np.floating]) -> np.floating:
    """Returns a bound as a number of the positions' own type, in which simulators compute with it."""
    return values.dtype.type(bound) if np.issubdtype(values.dtype, np.floating) else np.float64(bound)
