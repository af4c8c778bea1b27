"""Tables for tests of the code that carries and stores them."""

from __future__ import annotations

import numpy as np

from pairsim.model.state.schema import Component, Schema
from pairsim.model.state.table import Table

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
