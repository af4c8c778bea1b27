"""The cell list of a tick: which cells there are, and how long their edges.

It lies over the entities themselves, not over the world, so that an area pays for what it holds and not for the
size of the world around it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

MAX_CELLS = 2**20
"""More cells cost more to clear each tick than they save in the search."""

CELLS_PER_ENTITY = 8
_MIN_CELLS = 512

MAX_CROWD = 64
"""Bounds the search: so many entities of a cell collide, the first rows of the table. The rest of a crowd passes
through until it thins out."""

_CROWD_PER_CELL = 16
_COARSENING = 1.25


class Grid(msgspec.Struct, frozen=True):
    """Cells of equal edge over a box, with a rim of empty cells around, so that every cell has all its neighbours.

    Attributes:
        low: The box's lower corner.
        edge: A cell's edge in metres, at least the reach.
        counts: Cells per axis, without the rim.
        crowd: How many entities of one cell collide.
    """

    low: tuple[float, float, float]
    edge: float
    counts: tuple[int, int, int]
    crowd: int

    @classmethod
    def over(cls, low: Sequence[float], high: Sequence[float], reach: float, entities: int) -> Grid:
        """The finest grid that is worth its cells and whose neighbours hold everything within `reach` metres.

        Only * / and comparisons: every replica must come to the same grid.
        """
        limit = min(max(CELLS_PER_ENTITY * entities, _MIN_CELLS), MAX_CELLS)
        extent = [top - bottom for bottom, top in zip(low, high, strict=True)]
        edge = reach
        while True:
            x, y, z = (max(math.ceil(length / edge), 1) for length in extent)
            if (x + 2) * (y + 2) * (z + 2) <= limit:
                break
            edge *= _COARSENING
        # A cell as long as a sphere is wide has room for 8 spheres, at its corners; twice that is a crowd.
        wider = edge / reach
        crowd = int(min(_CROWD_PER_CELL * (wider * wider * wider), MAX_CROWD))
        return cls((low[0], low[1], low[2]), edge, (x, y, z), crowd)

    @property
    def cells(self) -> int:
        """All of them, the rim included."""
        return math.prod(count + 2 for count in self.counts)
