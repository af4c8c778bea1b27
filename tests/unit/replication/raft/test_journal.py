"""What a journal remembers over a restart."""

from __future__ import annotations

import pysyncobj.journal
import pytest

from pairsim.replication.raft.journal import Journal, boot_id
from pairsim.replication.raft.storage import JournalError, MemoryStorage
from tests.unit.replication.raft.journals import Operation, facts, filled, opened


def test_has_every_method_of_the_journal_of_pysyncobj() -> None:
    wanted = {name for name in vars(pysyncobj.journal.Journal) if not name.startswith("__")}
    assert all(callable(getattr(Journal, name)) for name in wanted | {"__getitem__", "__len__"})


def test_remembers_entries_term_and_vote() -> None:
    storage = MemoryStorage()
    filled(storage)
    again = opened(storage)
    assert (len(again), again[0], again[-1]) == (4, (b"command 1", 1, 3), (b"command 4", 4, 3))
    assert again[1:3] == [(b"command 2", 2, 3), (b"command 3", 3, 3)]
    assert (again.getCurrentTerm(), again.getVotedForNodeId(), again.is_voter) == (3, "b", True)


@pytest.mark.parametrize(("term", "vote"), [(4, None), (4, "c"), (3, "b"), (9, None)])
def test_every_term_and_vote_is_written_before_the_call_returns(term: int, vote: str | None) -> None:
    """A term that is forgotten lets the member vote twice in it."""
    storage = MemoryStorage()
    filled(storage).setCurrentTerm(term, vote)
    again = opened(storage)
    assert (again.getCurrentTerm(), again.getVotedForNodeId()) == (term, vote)


def test_a_vote_in_a_known_term_is_written() -> None:
    storage = MemoryStorage()
    journal = filled(storage)
    journal.setCurrentTerm(7, None)
    journal.setCurrentTerm(7, "c")
    again = opened(storage)
    assert (again.getCurrentTerm(), again.getVotedForNodeId()) == (7, "c")


def test_a_cut_is_written_before_the_call_returns() -> None:
    storage = MemoryStorage()
    journal = filled(storage)
    journal.deleteEntriesFrom(2)
    assert [entry[1] for entry in journal[:]] == [entry[1] for entry in opened(storage)[:]] == [1, 2]


def test_a_commit_index_beyond_a_torn_log_is_taken_back() -> None:
    """Otherwise the member would apply entries that it does not have, as soon as other ones take their place."""
    storage = MemoryStorage()
    journal = filled(storage)
    journal.setRaftCommitIndex(4)
    journal.onOneSecondTimer()
    journal.deleteEntriesFrom(2)
    assert opened(storage).getRaftCommitIndex() == 2


def test_a_fresh_journal_is_blank_and_does_not_vote() -> None:
    journal = opened(MemoryStorage())
    assert journal.blank
    assert not journal.is_voter
    assert journal.getRaftCommitIndex() == 1


def test_after_another_boot_the_entries_stay_but_the_member_does_not_vote() -> None:
    storage = MemoryStorage()
    filled(storage)
    for _start in range(2):  # the second start after the boot must not vote either
        journal = opened(storage, boot="another")
        assert not journal.is_voter
        assert not journal.blank
        assert len(journal) == 4
    journal.promote_to_voter()
    assert opened(storage, boot="another").is_voter


def test_a_restart_keeps_the_incarnation_and_a_lost_or_old_journal_changes_it() -> None:
    storage = MemoryStorage()
    first = opened(storage).incarnation
    assert opened(storage).incarnation == first
    assert opened(MemoryStorage()).incarnation != first
    later = opened(storage, boot="another").incarnation
    assert later != first
    assert opened(storage, boot="another").incarnation == later


def test_the_initial_members_survive_a_compaction() -> None:
    storage = MemoryStorage()
    journal = opened(storage)
    journal.promote_to_voter({"a": 1, "b": 2, "w": 3})
    journal.add(b"one", 1, 1)
    journal.clear()
    assert opened(storage).initial_members == {"a": 1, "b": 2, "w": 3}


def test_refuses_the_journal_of_another_member() -> None:
    storage = MemoryStorage()
    filled(storage)
    before = storage.read()
    with pytest.raises(JournalError, match="belongs to north/1/a, not to north/2/a"):
        opened(storage, identity="north/2/a")
    assert storage.read() == before


def test_refuses_an_earlier_format_and_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = MemoryStorage()
    monkeypatch.setattr("pairsim.replication.raft.journal.FORMAT", 1)
    filled(storage)
    monkeypatch.undo()
    before = storage.read()
    with pytest.raises(JournalError, match="has format 1, and this version of pairsim has format 2: start the version"):
        opened(storage)
    assert storage.read() == before


def test_the_commit_index_is_written_once_a_second() -> None:
    storage = MemoryStorage()
    journal = filled(storage)
    size = len(storage.data)
    journal.setRaftCommitIndex(3)
    assert len(storage.data) == size
    assert opened(MemoryStorage(storage.read())).getRaftCommitIndex() == 1
    journal.onOneSecondTimer()
    written = len(storage.data)
    journal.onOneSecondTimer()
    assert len(storage.data) == written > size
    assert opened(storage).getRaftCommitIndex() == 3


def test_a_snapshot_replaces_what_it_covers() -> None:
    storage = MemoryStorage()
    journal = filled(storage, 6)
    journal.save_snapshot(b"state", journal[2], journal[3], keep_tail=True)
    for seen in (journal, opened(storage)):
        assert [entry[1] for entry in seen[:]] == [3, 4, 5, 6]
        assert seen.snapshot is not None
        assert seen.snapshot.data == b"state"
        assert seen.getRaftCommitIndex() == 4
    journal.save_snapshot(b"leader's", (b"x", 90, 4), (b"y", 91, 4), keep_tail=False)
    assert opened(storage)[:] == [(b"x", 90, 4), (b"y", 91, 4)]
    assert opened(storage).getCurrentTerm() == 3


@pytest.mark.parametrize(("change", "left"), [(lambda j: j.deleteEntriesTo(1), [4, 5, 6]), (Journal.clear, [])])
def test_entries_that_a_snapshot_covers_can_be_removed(change: Operation, left: list[int]) -> None:
    storage = MemoryStorage()
    journal = filled(storage, 6)
    journal.save_snapshot(b"state", journal[2], journal[3], keep_tail=True)
    change(journal)
    assert [entry[1] for entry in journal[:]] == left
    assert facts(opened(storage)) == facts(journal)


def test_a_bootstrapped_member_is_a_voter_at_once() -> None:
    storage = MemoryStorage()
    opened(storage).bootstrap(b"sealed", 7)
    journal = opened(storage)
    assert (journal.is_voter, journal.getCurrentTerm(), journal.getVotedForNodeId()) == (True, 7, None)
    assert [entry[1:] for entry in journal[:]] == [(1, 7), (2, 7)]
    assert not journal.blank


def test_knows_its_size() -> None:
    storage = MemoryStorage()
    journal = filled(storage)
    assert journal.bytes == len(storage.data)
    journal.deleteEntriesTo(2)
    assert journal.bytes == len(storage.data) == opened(storage).bytes


def test_the_machine_has_a_boot_id() -> None:
    assert boot_id() == boot_id() != ""
