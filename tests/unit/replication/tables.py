"""Tables for tests of the code that carries and stores them."""

from __future__ import annotations

import numpy as np

from pairsim.model.borders import BorderState
from pairsim.model.state.schema import Component, Schema
from pairsim.model.state.table import Table, TableView
from pairsim.replication.sync.codec import PendingFrame, delta, keyframe
from pairsim.replication.sync.snapshots import SnapshotTaker

SCHEMA = Schema(
    (
        Component("place", "float32", 3),
        Component("value", "int64"),
        Component("flag", "uint8"),
        Component("mass", "float64"),
    )
)


def table(count: int, seed: int = 0, first: int = 1) -> Table:
    """Returns a table of entities with random content."""
    rng = np.random.default_rng(seed)
    made = Table(SCHEMA)
    made.spawn(
        np.arange(first, first + count, dtype=np.int64),
        {
            "place": rng.random((count, 3), np.float32),
            "value": rng.integers(-(2**40), 2**40, count),
            "flag": rng.integers(0, 255, count).astype(np.uint8),
            "mass": rng.random(count),
        },
    )
    return made


def same(one: Table, other: Table) -> bool:
    """Compares two tables bit for bit, including the order of rows and the index."""
    return one.digest() == other.digest() and all(one.row(int(i)) == other.row(int(i)) for i in one.ids)


class FrameChain:
    """Frames of a table, each based on the state of the one before."""

    def __init__(self, first: TableView) -> None:
        self._taker = SnapshotTaker()
        self.base = self._taker.take(first)

    def make_delta(self, view: TableView) -> PendingFrame:
        """Returns the frame from the base to a state, which becomes the base."""
        before, self.base = self.base, self._taker.take(view)
        return delta(before, self.base)

    def make_keyframe(self) -> PendingFrame:
        """Returns the whole base."""
        return keyframe(self.base)


BORDERS = BorderState(0)
"""The borders of an area at tick 0."""
