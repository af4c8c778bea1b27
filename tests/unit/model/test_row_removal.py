"""Rows that are removed at once lie as if they had been removed one after another."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pairsim.model.state.row_removal import removal_moves


def one_after_another(removed: list[int], count: int) -> list[int]:
    """Returns the rows that are left, by place."""
    rows = list(range(count))
    for row in removed:
        place, last = rows.index(row), rows.pop()
        if place < len(rows):
            rows[place] = last
    return rows


@st.composite
def removals(draw: st.DrawFn) -> tuple[list[int], int]:
    """Any rows, and often many of the last ones."""
    count = draw(st.integers(0, 40))
    lowest = draw(st.integers(0, count))
    rows = draw(st.permutations(range(lowest, count)))
    others = draw(st.permutations(range(lowest)))
    removed = rows[: draw(st.integers(0, len(rows)))] + others[: draw(st.integers(0, len(others)))]
    return draw(st.permutations(removed)), count


@settings(max_examples=1000, deadline=None)
@given(removals())
def test_the_rows_lie_as_if_removed_one_after_another(case: tuple[list[int], int]) -> None:
    removed, count = case
    places, moved = removal_moves(np.array(removed, np.int64), count)
    rows = np.arange(count)
    rows[places] = rows[moved]
    assert rows[: count - len(removed)].tolist() == one_after_another(removed, count)
    assert len(set(places.tolist())) == len(places)
