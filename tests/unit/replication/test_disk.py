from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pairsim.replication.checkpoint.format import Checkpointer, CheckpointError, Draft
from pairsim.replication.checkpoint.store import CheckpointDisk
from tests.unit.replication.tables import SCHEMA, table


def offer(disk: CheckpointDisk, tick: int, now: float, *, urgent: bool = False) -> None:
    state = table(5)
    disk.offer(state, tick, 1, state.digest(), now, rejected={}, urgent=urgent)


def test_a_state_counts_as_durable_only_when_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    may_write = threading.Event()
    write = Checkpointer.write

    def slow(self: Checkpointer, draft: Draft) -> None:
        assert may_write.wait(10)
        write(self, draft)

    monkeypatch.setattr(Checkpointer, "write", slow)
    disk = CheckpointDisk(tmp_path, "west", SCHEMA, period=10.0)
    offer(disk, 5, 1.0)
    assert disk.durable == 0
    may_write.set()
    disk.close()
    assert disk.durable == 5


def test_what_could_not_be_written_is_not_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_self: Checkpointer, _draft: Draft) -> None:
        raise CheckpointError("no space left on device")

    disk = CheckpointDisk(tmp_path, "west", SCHEMA, period=10.0)
    monkeypatch.setattr(Checkpointer, "write", full)
    offer(disk, 5, 1.0)
    disk.close()
    assert disk.durable == 0


def test_states_are_written_now_and_then_and_urgent_ones_sooner(tmp_path: Path) -> None:
    disk = CheckpointDisk(tmp_path, "west", SCHEMA, period=10.0)

    def newest_after(tick: int, now: float, *, urgent: bool = False) -> int:
        offer(disk, tick, now, urgent=urgent)
        disk.close()
        return disk.durable

    assert newest_after(1, 100.0) == 1
    assert newest_after(2, 105.0) == 1
    assert newest_after(3, 105.0, urgent=True) == 3
    assert newest_after(4, 105.5, urgent=True) == 3, "a disk that is full is not asked a hundred times a second"
    assert newest_after(5, 116.0) == 5
