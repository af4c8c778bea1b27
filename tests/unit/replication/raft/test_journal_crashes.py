"""A crash at any byte loses nothing that was acknowledged, and damage is noticed."""

from __future__ import annotations

import copy
import os
from pathlib import Path

import pytest
import structlog.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from pairsim.replication.raft import storage as storage_module
from pairsim.replication.raft.journal import Journal
from pairsim.replication.raft.storage import FileStorage, MemoryStorage
from tests.unit.replication.raft.journals import Crash, MortalStorage, Operation, facts, filled, opened


def _add(size: int, term: int) -> Operation:
    return lambda journal: journal.add(b"c" * size, journal[-1][1] + 1 if len(journal) else 1, term)


def _compact(place: int, keep_tail: bool) -> Operation:
    def act(journal: Journal) -> None:
        if len(journal) >= 2:
            at = place % (len(journal) - 1)
            journal.save_snapshot(b"s" * place, journal[at], journal[at + 1], keep_tail=keep_tail)

    return act


def _compact_own(place: int) -> Operation:
    def act(journal: Journal) -> None:
        if len(journal) >= 2:
            at = place % (len(journal) - 1)
            journal.compact(lambda: b"s" * place, journal[at], journal[at + 1])

    return act


_operations = st.one_of(
    st.builds(_add, st.integers(0, 40), st.integers(0, 9)),
    st.builds(_add, st.integers(0, 40), st.integers(0, 9)),
    st.builds(lambda n: lambda journal: journal.deleteEntriesFrom(n % (len(journal) + 1)), st.integers(0, 50)),
    st.builds(lambda n: lambda journal: journal.deleteEntriesTo(n % (len(journal) + 1)), st.integers(0, 50)),
    st.builds(_compact, st.integers(0, 50), st.booleans()),
    st.builds(_compact_own, st.integers(0, 50)),
    st.builds(lambda t, v: lambda journal: journal.setCurrentTerm(t, v), st.integers(0, 99), st.none() | st.text()),
    st.builds(lambda t: lambda journal: journal.bootstrap(b"f", t), st.integers(0, 99)),
    st.just(lambda journal: journal.promote_to_voter()),
    st.just(lambda journal: journal.clear()),
    st.builds(lambda n: lambda journal: (journal.setRaftCommitIndex(n), journal.onOneSecondTimer()), st.integers(1, 9)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(_operations, max_size=25), st.integers(0, 1500))
def test_a_crash_at_any_byte_loses_nothing_that_was_acknowledged(operations: list[Operation], bytes_left: int) -> None:
    storage = MortalStorage()
    journal = opened(storage)
    journal.promote_to_voter()
    storage.left = bytes_left
    before = after = copy.deepcopy(facts(journal))
    try:
        for operation in operations:
            before = copy.deepcopy(facts(journal))
            shadow = opened(MemoryStorage(storage.read()))
            operation(shadow)
            after = facts(shadow)
            operation(journal)
            before = after
    except Crash:
        pass
    again = opened(MemoryStorage(storage.read()))
    assert facts(again) in (before, after)
    again.add(b"goes on", 1000, 10)
    assert facts(opened(MemoryStorage(again._storage.read()))) == facts(again)


def _crash_after(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    write = os.write

    def mortal(fd: int, data: bytes) -> int:
        nonlocal size
        written = write(fd, data[:size])
        size -= written
        if written < len(data):
            raise Crash
        return written

    monkeypatch.setattr(storage_module.os, "write", mortal)


@pytest.mark.parametrize("change", ["deleteEntriesTo", "save_snapshot"])
def test_a_crash_at_any_byte_of_a_compaction_keeps_every_entry(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "generation-1.journal"
    first = FileStorage(path)
    filled(first)
    first.close()
    whole, size, survived = path.read_bytes(), 0, 0
    while True:
        path.write_bytes(whole)
        file = FileStorage(path)
        journal = opened(file)
        _crash_after(monkeypatch, size)
        try:
            if change == "deleteEntriesTo":
                journal.deleteEntriesTo(2)
            else:
                journal.save_snapshot(b"state", journal[1], journal[2], keep_tail=True)
            crashed = False
        except Crash:
            crashed = True
        monkeypatch.undo()
        file.close()
        file = FileStorage(path)
        indexes = [entry[1] for entry in opened(file)[:]]
        file.close()
        if not crashed:
            break
        assert indexes == [1, 2, 3, 4]
        size, survived = size + 1, survived + 1
    assert indexes == ([3, 4] if change == "deleteEntriesTo" else [2, 3, 4])
    assert survived > 100
    assert sorted(p.name for p in tmp_path.iterdir()) == ["generation-1.journal", "generation-1.lock"]


def test_a_record_torn_at_any_byte_is_cut_off() -> None:
    storage = MemoryStorage()
    journal = filled(storage, 3)
    whole = len(storage.data)
    journal.add(b"never acknowledged", 4, 3)
    for end in range(whole, len(storage.data)):
        torn = MemoryStorage(storage.read()[:end])
        again = opened(torn)
        assert again.is_voter
        assert len(again) == 3
        again.add(b"another", 4, 3)
        assert opened(torn)[3] == (b"another", 4, 3)


def test_damage_at_any_byte_is_noticed() -> None:
    storage = MemoryStorage()
    journal = filled(storage)
    journal.save_snapshot(b"state", journal[0], journal[1], keep_tail=True)
    journal.add(b"command 5", 5, 3)
    entries = journal[:]
    for at in range(len(storage.data)):
        damaged = MemoryStorage(storage.read())
        damaged.data[at] ^= 0x10
        with structlog.testing.capture_logs() as logs:
            again = opened(damaged)
        assert not again.is_voter
        assert not again.blank
        assert again[:] == entries[: len(again)]
        assert again.getRaftCommitIndex() <= max(1, again[-1][1] if len(again) else 1)
        assert [entry["damaged_at"] for entry in logs] != []
        assert opened(damaged)[:] == again[:]  # and the journal is usable again


def test_a_journal_without_its_beginning_is_not_blank() -> None:
    journal = opened(MemoryStorage(bytes(4096)))
    assert not journal.blank
    assert not journal.is_voter
