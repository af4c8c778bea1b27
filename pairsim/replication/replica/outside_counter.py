"""Counts the entities of an area whose position is outside of the bounds that the area has authority over.

A simulator moves entities freely, and an entity stays in its area wherever it goes. The count shows how many have left.
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import numpy.typing as npt

from pairsim.model.geometry import Box
from pairsim.model.state.table import Table
from pairsim.protocol.bounds import POSITION

COUNT_SECONDS = 1.0
"""The time between two counts. A count reads the positions once, which costs a part of what one tick's digest costs."""


class OutsideCounter:
    """The newest count; written by the replica thread.

    Attributes:
        count: The number of entities outside; 0 if entities have no position.
    """

    def __init__(self, world: Box) -> None:
        """Starts at zero; `world` is the box of the plane, whose upper edge belongs to it."""
        self.count = 0
        self._world = world
        self._due = -math.inf

    def update(self, now: float, table: Table, bounds: Box) -> None:
        """Counts anew if the last count is `COUNT_SECONDS` old; `now` is in seconds of a monotonic clock."""
        if now >= self._due:
            self._due = now + COUNT_SECONDS
            self.count = count_outside(table, bounds, self._world)


def count_outside(table: Table, bounds: Box, world: Box) -> int:
    """Returns how many entities are outside of a half-open box; positions that are not numbers are outside.

    A simulator keeps entities in the world by setting them on its edge, so that edge counts as inside.
    """
    if POSITION not in table.schema or table.schema[POSITION].width != 3:
        return 0
    position = cast("npt.NDArray[np.floating]", table.column(POSITION))
    inside = np.ones(len(table), np.bool_)
    for axis, (low, high, edge) in enumerate(zip(bounds.min, bounds.max, world.max, strict=True)):
        values = position[:, axis]
        lowest, highest = _rounded(low, values), _rounded(high, values)
        inside &= values >= lowest
        inside &= values <= highest if high == edge else values < highest
    return len(table) - int(np.count_nonzero(inside))


def _rounded(bound: float, values: npt.NDArray[np.floating]) -> np.floating:
    """Returns a bound as a number of the positions' own type, in which simulators compute with it."""
    return values.dtype.type(bound) if np.issubdtype(values.dtype, np.floating) else np.float64(bound)
