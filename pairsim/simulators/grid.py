"""The grid of the cell list, which finds collisions: its cells, and the length of their edges.

The grid covers the entities, not the whole world, so that the cost follows the number of entities in an area and not
the size of the world around it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

MAX_CELLS = 2**20
"""The highest number of cells. More cells cost more to clear in each tick than they save in the search."""

CELLS_PER_ENTITY = 8
_MIN_CELLS = 512

MAX_CROWD = 64
"""The highest number of entities of a cell that collide: the first rows of the table. This bounds the search; the rest
of a crowd passes through until the crowd thins out."""

_CROWD_PER_CELL = 16
_COARSENING = 1.25


class Grid(msgspec.Struct, frozen=True):
    """Cells of equal edge over a box, with a rim of empty cells around them, so that every cell has all its neighbours.

    Attributes:
        low: The lower corner of the box, in metres.
        edge: The edge of a cell in metres, at least the reach.
        counts: The number of cells per axis, without the rim.
        crowd: The highest number of entities of one cell that collide.
    """

    low: tuple[float, float, float]
    edge: float
    counts: tuple[int, int, int]
    crowd: int

    @classmethod
    def over(cls, low: Sequence[float], high: Sequence[float], reach: float, entities: int) -> Grid:
        """Returns the finest grid within the limit of cells, whose neighbouring cells hold all entities within reach.

        It uses only * / and comparisons, because every replica must come to the same grid.

        Args:
            low: The lower corner of the box around the entities, in metres.
            high: The upper corner of that box, in metres.
            reach: The distance at which two entities touch, in metres.
            entities: The number of entities.
        """
        limit = min(max(CELLS_PER_ENTITY * entities, _MIN_CELLS), MAX_CELLS)
        extent = [top - bottom for bottom, top in zip(low, high, strict=True)]
        edge = reach
        while True:
            x, y, z = (max(math.ceil(length / edge), 1) for length in extent)
            if (x + 2) * (y + 2) * (z + 2) <= limit:
                break
            edge *= _COARSENING
        # A cell as long as a sphere is wide has room for 8 spheres, at its corners; twice as many are a crowd.
        wider = edge / reach
        crowd = int(min(_CROWD_PER_CELL * (wider * wider * wider), MAX_CROWD))
        return cls((low[0], low[1], low[2]), edge, (x, y, z), crowd)

    @property
    def cells(self) -> int:
        """The number of all cells, including the rim."""
        return math.prod(count + 2 for count in self.counts)
