"""A journal goes on while a thread compacts it."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pairsim.replication.raft.journal import Journal
from pairsim.replication.raft.storage import FileStorage, JournalError, MemoryStorage
from tests.unit.replication.raft.journals import DEADLINE_SECONDS, facts, filled, opened


class SlowPack:
    """A snapshot whose packing ends when the test says so."""

    def __init__(self, data: bytes = b"state") -> None:
        self.data, self.begun, self.goes_on = data, threading.Event(), threading.Event()

    def __call__(self) -> bytes:
        self.begun.set()
        assert self.goes_on.wait(DEADLINE_SECONDS)
        return self.data


@pytest.fixture
def file(tmp_path: Path) -> Iterator[FileStorage]:
    made = FileStorage(tmp_path / "generation-1.journal")
    yield made
    made.close()


def until_compacted(journal: Journal) -> None:
    end = time.monotonic() + DEADLINE_SECONDS
    while journal.compacting():
        assert time.monotonic() < end, "the compaction was never written"


@pytest.mark.parametrize("size", [0, 1, 300, 2**16 + 1, 3 * 2**20 + 5])
def test_a_journal_can_be_written_while_it_is_compacted(file: FileStorage, size: int) -> None:
    journal, pack = filled(file), SlowPack(b"s" * size)
    journal.compact(pack, journal[1], journal[2])
    assert pack.begun.wait(DEADLINE_SECONDS)
    assert journal.compacting()
    journal.setCurrentTerm(4, "c")
    journal.add(b"command 5", 5, 4)
    assert [entry[1] for entry in journal[:]] == [1, 2, 3, 4, 5]
    assert facts(opened(MemoryStorage(file.read()))) == facts(journal)  # the content that a crash would leave now
    pack.goes_on.set()
    until_compacted(journal)
    journal.add(b"command 6", 6, 4)
    for seen in (journal, opened(MemoryStorage(file.read()))):
        assert [entry[1] for entry in seen[:]] == [2, 3, 4, 5, 6]
        assert (seen.getCurrentTerm(), seen.getVotedForNodeId(), seen.is_voter) == (4, "c", True)
        assert seen.snapshot is not None
        assert seen.snapshot.data == pack.data
        assert seen.bytes == len(file.read())


def test_a_snapshot_of_the_leader_replaces_a_running_compaction(file: FileStorage) -> None:
    journal, pack = filled(file), SlowPack()
    journal.compact(pack, journal[1], journal[2])
    assert pack.begun.wait(DEADLINE_SECONDS)
    journal.save_snapshot(b"leader's", (b"x", 90, 4), (b"y", 91, 4), keep_tail=False)
    assert not journal.compacting()
    pack.goes_on.set()
    journal.compact(lambda: b"next", journal[0], journal[1])
    until_compacted(journal)
    assert journal.snapshot is not None
    assert journal.snapshot.data == b"next"
    assert facts(opened(MemoryStorage(file.read()))) == facts(journal)


def test_a_closed_journal_leaves_no_pending_file(file: FileStorage, tmp_path: Path) -> None:
    journal, pack = filled(file), SlowPack()
    before = facts(journal)
    journal.compact(pack, journal[1], journal[2])
    assert pack.begun.wait(DEADLINE_SECONDS)
    journal.close()
    pack.goes_on.set()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["generation-1.journal", "generation-1.lock"]
    assert facts(opened(MemoryStorage(file.read()))) == before


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), MemoryError()])
def test_a_compaction_that_fails_changes_nothing_and_raises(
    file: FileStorage, tmp_path: Path, error: Exception
) -> None:
    journal = filled(file)
    before = facts(journal)

    def fail() -> bytes:
        raise error

    with pytest.raises(JournalError, match="cannot write the journal"):  # noqa: PT012 - sooner or later
        journal.compact(fail, journal[1], journal[2])
        until_compacted(journal)
    assert not journal.compacting()
    assert facts(journal) == facts(opened(MemoryStorage(file.read()))) == before
    assert not (tmp_path / "generation-1.draft").exists()
