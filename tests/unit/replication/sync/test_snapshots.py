"""A snapshot has the bytes of the table, shares what did not change, and its digest is that of its own bytes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from pairsim.model.state.digest import RunningDigest
from pairsim.model.state.table import Table
from pairsim.replication.sync import state as state_module
from pairsim.replication.sync.snapshots import SnapshotTaker
from pairsim.replication.sync.state import ReplicaState, state_digest
from tests.unit.replication.tables import table

LARGE = 150_000
"""So many rows that each column has several pieces."""


@pytest.mark.parametrize("rows", [0, 1, 511, 512, 513, LARGE])
@pytest.mark.parametrize("changed", ["nothing", "the first row", "the last row", "all"])
def test_the_digest_is_that_of_the_table(rows: int, changed: str) -> None:
    mine, taker = table(rows), SnapshotTaker()
    first = taker.take(mine, RunningDigest(rows))
    if changed != "nothing" and rows:
        place = {"the first row": slice(1), "the last row": slice(-1, None), "all": slice(None)}[changed]
        mine.column("value")[place] += 1
    second = taker.take(mine, digest := RunningDigest(rows))
    assert digest.value == mine.digest() == second.digest()
    assert first.digest() == table(rows).digest(), "a snapshot has changed"
    shared = [name for name, buffer in second.buffers.items() if buffer is first.buffers[name]]
    expected = ["place", "flag", "mass"] if changed != "nothing" and rows else ["place", "value", "flag", "mass"]
    assert shared == ["id", *expected]


def test_the_ids_of_another_table_are_not_those_of_the_one_before_it() -> None:
    """A state moves to the table of another engine, which had as many changes, and its ids change there."""
    first, second = table(3), table(3)
    taker = SnapshotTaker()
    taker.take(first)
    second.despawn(second.ids[:1].copy())
    second.spawn(np.array([77]), {})
    first.despawn(first.ids[:1].copy())
    first.spawn(np.array([88]), {})
    taker.take(first)
    assert taker.take(second).ids.tolist() == second.ids.tolist()


class _WildEngine:
    """Writes to the table whenever the node has read a part of it."""

    def __init__(self, written: Table) -> None:
        self._table = written

    def digest(self, count: int) -> RunningDigest:
        engine = self

        class Watched(RunningDigest):
            def update(self, piece: npt.NDArray[np.uint8]) -> None:
                engine.write()
                super().update(piece)
                engine.write()

        return Watched(count)

    def write(self) -> None:
        for name in ("value", "mass"):
            self._table.column(name)[:] += 1


def test_a_digest_is_that_of_the_snapshot_whatever_an_engine_writes_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    state = ReplicaState("west", table(LARGE))
    monkeypatch.setattr(state_module, "RunningDigest", _WildEngine(state.table).digest)
    for tick in (1, 2):
        with state.lock:
            computed = state.mark_computed(tick, 0)
        assert state.digest(tick) == state_digest(computed.snapshot, computed.borders)
