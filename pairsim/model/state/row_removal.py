"""Which rows move when several rows of a table are removed one after another.

At each removal the row that is then the last moves into the place of the removed one. Most removals are simple: row r
goes, and the row that was the last from the beginning moves to r. Only a removal among the last rows, where others have
moved or will move away, needs a look at what happened before, and so do the removals that take what it moved. So the
simple ones are done all at once, and the others in their order.
"""

from __future__ import annotations

import heapq

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]


def removal_moves(removed: Rows, count: int) -> tuple[Rows, Rows]:
    """Returns where rows move, and which rows, as if the rows were removed one after another.

    Args:
        removed: The rows to remove, in this order, int64 (k,); each is less than `count` and comes once.
        count: The number of rows before.

    Returns:
        The places, each of which comes once, and the rows that move there, as they are numbered before all removals.
    """
    kept = count - len(removed)
    sources = count - 1 - np.arange(len(removed))
    late = np.flatnonzero(removed >= kept)
    if not len(late):
        return removed, sources
    places = removed.copy()
    _correct(places, sources, late.tolist(), kept)
    stays = (places >= 0) & (places < kept)
    places, sources = places[stays], sources[stays]
    # A place that is taken twice has what came last.
    _, newest = np.unique(places[::-1], return_index=True)
    newest = len(places) - 1 - newest
    return places[newest], sources[newest]


def _correct(places: Rows, sources: Rows, steps: list[int], kept: int) -> None:
    """Corrects the moves of these steps, and of those that depend on them, in the order of the steps."""
    count = kept + len(places)
    removed = places.copy()
    place_of: dict[int, int] = {}
    row_at: dict[int, int] = {}
    while steps:
        step = heapq.heappop(steps)
        last = count - 1 - step
        moved = row_at.pop(last, last)
        row = int(removed[step])
        place = place_of.pop(row, row)
        if place == row and row > last:
            place = int(places[count - 1 - row])  # a simple removal moved it before
        places[step], sources[step] = (-1, moved) if place == last else (place, moved)
        if place == last:
            continue
        place_of[moved] = place
        if place >= kept:
            following = count - 1 - place
            if place not in row_at and removed[following] < kept:
                heapq.heappush(steps, following)
            row_at[place] = moved
