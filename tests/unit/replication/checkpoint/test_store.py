"""Checkpoints are written in the background, at the right times, and count only when they are on store."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pairsim.replication.checkpoint.folder import CheckpointError, CheckpointFolder
from pairsim.replication.checkpoint.format import PendingCheckpoint
from pairsim.replication.checkpoint.store import CheckpointStore
from pairsim.replication.sync.state import state_digest
from tests.unit.replication.tables import BORDERS, SCHEMA, table


def write(store: CheckpointStore, tick: int, now: float, *, urgent: bool = False) -> None:
    state = table(5)
    store.maybe_write(state, BORDERS, tick, 1, state_digest(state, BORDERS), now, urgent=urgent)


def test_a_state_is_durable_only_after_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    may_write = threading.Event()
    write_file = CheckpointFolder.write

    def slow(self: CheckpointFolder, pending: PendingCheckpoint) -> None:
        assert may_write.wait(10)
        write_file(self, pending)

    monkeypatch.setattr(CheckpointFolder, "write", slow)
    store = CheckpointStore(tmp_path, "west", SCHEMA, period=10.0)
    write(store, 5, 1.0)
    assert store.durable == 0
    may_write.set()
    store.close()
    assert store.durable == 5


def test_a_failed_checkpoint_is_not_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_self: CheckpointFolder, _pending: PendingCheckpoint) -> None:
        raise CheckpointError("no space left on device")

    store = CheckpointStore(tmp_path, "west", SCHEMA, period=10.0)
    monkeypatch.setattr(CheckpointFolder, "write", full)
    write(store, 5, 1.0)
    store.close()
    assert store.durable == 0


def test_checkpoints_are_periodic_and_urgent_ones_come_sooner(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, "west", SCHEMA, period=10.0)

    def newest_after(tick: int, now: float, *, urgent: bool = False) -> int:
        write(store, tick, now, urgent=urgent)
        store.close()
        return store.durable

    assert newest_after(1, 100.0) == 1
    assert newest_after(2, 105.0) == 1
    assert newest_after(3, 105.0, urgent=True) == 3
    assert newest_after(4, 105.5, urgent=True) == 3, "a full disk is tried at most once a second"
    assert newest_after(5, 116.0) == 5


def test_one_checkpoint_is_written_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    may_write, written = threading.Event(), list[int]()

    def slow(_self: CheckpointFolder, pending: PendingCheckpoint) -> None:
        assert may_write.wait(10)
        written.append(pending.tick)

    monkeypatch.setattr(CheckpointFolder, "write", slow)
    store = CheckpointStore(tmp_path, "west", SCHEMA, period=10.0)
    write(store, 5, 1.0)
    write(store, 6, 100.0)
    may_write.set()
    store.close()
    write(store, 7, 100.0)
    store.close()
    assert written == [5, 7]


def test_a_state_that_is_on_disk_is_not_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = CheckpointStore(tmp_path, "west", SCHEMA, period=10.0)
    write(store, 5, 1.0)
    store.close()
    again = CheckpointStore(tmp_path, "west", SCHEMA, period=10.0)
    assert again.durable == 0
    loaded = again.load()
    assert loaded is not None
    assert again.durable == loaded.tick == 5
    monkeypatch.setattr(CheckpointFolder, "begin", lambda *_given: pytest.fail("it is on disk"))
    write(again, 5, 100.0)
