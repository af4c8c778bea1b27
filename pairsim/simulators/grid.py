"""The cell list of a box: which cells there are, and how long their edges."""

from __future__ import annotations

import math

import msgspec

from pairsim.model.geometry import Box

MAX_CELLS = 2**20
"""More cells cost more to clear each tick than they save in the search."""

CROWD = 64
"""Entities of one cell that collide; the rest of a crowd passes through until it thins out. It bounds a tick."""


class Grid(msgspec.Struct, frozen=True):
    """Cells of equal edge over a box, with a rim of empty cells around, so that every cell has all its neighbours.

    Attributes:
        low: The box's lower corner.
        edge: A cell's edge in metres, at least the reach.
        counts: Cells per axis, without the rim.
    """

    low: tuple[float, float, float]
    edge: float
    counts: tuple[int, int, int]

    @classmethod
    def over(cls, box: Box, reach: float) -> Grid:
        """The finest grid whose neighbours hold everything within `reach` metres."""
        extent = [high - low for low, high in zip(box.min, box.max, strict=True)]
        edge = reach
        while True:
            counts = [max(math.ceil(length / edge), 1) for length in extent]
            if math.prod(count + 2 for count in counts) <= MAX_CELLS:
                return cls(box.min, edge, (counts[0], counts[1], counts[2]))
            edge *= 1.1

    @property
    def cells(self) -> int:
        """All of them, the rim included."""
        return math.prod(count + 2 for count in self.counts)
