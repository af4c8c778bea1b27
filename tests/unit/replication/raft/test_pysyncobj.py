"""Raft upon pysyncobj: what pairsim corrects in it, and how snapshots and versions are handled."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pairsim.replication.raft import snapshots
from pairsim.replication.raft.journal import Journal
from pairsim.replication.raft.messages import Chunk, Entry, RaftMessage, decode_message, to_raft
from pairsim.replication.raft.pysyncobj import check, core
from pairsim.replication.raft.pysyncobj.check import UnsupportedLibraryError
from pairsim.replication.raft.pysyncobj.raft import MAX_COMMAND_BYTES, Raft, RaftState
from pairsim.replication.raft.storage import MemoryStorage
from pairsim.settings import Timing


class Surroundings:
    """A transport that keeps what is sent, and a state machine that keeps what is applied."""

    def __init__(self) -> None:
        self.sent: list[RaftMessage] = []
        self.applied: list[bytes] = []

    def start(self, handler: object) -> None: ...

    def send(self, peer: str, message: bytes) -> bool:
        self.sent.append(to_raft(decode_message(message)))
        return True

    def backlog(self, peer: str) -> int:
        return 0

    def poll(self, timeout: float) -> None: ...

    def wake(self) -> None: ...

    def close(self) -> None: ...

    def apply(self, payload: bytes) -> None:
        self.applied.append(payload)

    def begin_snapshot(self) -> Callable[[], bytes]:
        taken = b"".join(self.applied)
        return lambda: taken

    def restore(self, snapshot: bytes) -> None:
        self.applied = [snapshot]


class CountingStorage(MemoryStorage):
    """Records after each write how many entries a restart would find."""

    def __init__(self) -> None:
        super().__init__()
        self.lengths: list[int] = []

    def append(self, data: bytes) -> None:
        super().append(data)
        self.lengths.append(len(Journal(MemoryStorage(bytes(self.data)), "boot", "me")))


def member(storage: MemoryStorage | None = None) -> tuple[Raft, Surroundings]:
    """Returns a member on the storage, and its surroundings."""
    surroundings = Surroundings()
    journal = Journal(storage or MemoryStorage(), "boot", "me")
    raft = Raft(
        "a", frozenset({"b", "w"}), transport=surroundings, journal=journal, state_machine=surroundings, timing=Timing()
    )
    return raft, surroundings


def entries(first: int, last: int, term: int = 1) -> list[tuple[bytes, int, int]]:
    return [(b"\0" + bytes([n]), n, term) for n in range(first, last + 1)]


def append(previous: int, new: list[tuple[bytes, int, int]], *, term: int = 1, commit: int = 1) -> RaftMessage:
    return {
        "type": "append_entries", "term": term, "commit_index": commit, "entries": new,
        "prevLogIdx": previous, "prevLogTerm": 0 if previous == 1 else 1,
    }  # fmt: skip


def install(follower: Raft, data: bytes, previous: Entry, last: Entry, *, term: int = 1) -> None:
    """Delivers a leader's snapshot in one chunk."""
    chunk = Chunk(term, last[1], 0, data, (previous, last))
    follower.deliver("b", {"type": "append_entries", "term": term, "commit_index": 15, "serialized": chunk})


def test_a_late_message_does_not_cut_the_log() -> None:
    follower, surroundings = member()
    follower.deliver("b", append(1, entries(2, 10), commit=10))
    follower.deliver("b", append(1, entries(2, 4), commit=4))
    assert follower.last == (10, 1)
    assert surroundings.sent[-1]["next_node_idx"] == 5  # the message says nothing of later entries


def test_an_overlapping_message_adds_only_the_new_entries() -> None:
    follower, _surroundings = member()
    follower.deliver("b", append(1, entries(2, 10)))
    follower.deliver("b", append(5, entries(6, 14)))
    assert follower.last == (14, 1)
    assert [e[1] for e in follower.journal[:]] == list(range(1, 15))


def test_a_conflict_cuts_the_log() -> None:
    follower, _surroundings = member()
    follower.deliver("b", append(1, entries(2, 10)))
    follower.deliver("w", append(4, entries(5, 6, term=2), term=2))
    assert follower.last == (6, 2)


def test_a_conflict_never_cuts_entries_before_it() -> None:
    storage = CountingStorage()
    follower, _surroundings = member(storage)
    follower.deliver("b", append(1, entries(2, 12)))
    follower.deliver("w", append(12, entries(13, 13, term=2), term=2))
    storage.lengths.clear()
    follower.deliver("b", append(1, [*entries(2, 12), *entries(13, 14, term=3)], term=3))
    assert follower.last == (14, 3)
    assert min(storage.lengths) == 12  # a crash at any moment leaves what was acknowledged


def test_a_leader_commits_no_further_than_the_logs_are_known_to_agree() -> None:
    """The message covers the entries up to 5; what follows them here may conflict with the leader's log."""
    follower, surroundings = member()
    follower.deliver("b", append(1, entries(2, 10)))
    follower.deliver("w", append(1, entries(2, 5), term=2, commit=8))
    follower.turn()
    assert (follower.applied, len(surroundings.applied)) == (5, 4)


def test_a_chunk_of_a_snapshot_commits_nothing() -> None:
    """A chunk does not say that the logs agree."""
    follower, surroundings = member()
    follower.deliver("b", append(1, entries(2, 10)))
    chunk = Chunk(2, 20, 0, b"a beginning", None)
    follower.deliver("w", {"type": "append_entries", "term": 2, "commit_index": 8, "serialized": chunk})
    follower.turn()
    assert surroundings.applied == []


def test_an_answer_of_an_earlier_term_is_no_match() -> None:
    leader, _surroundings = member()
    lead(leader)
    answer: RaftMessage = {"type": "next_node_idx", "reset": False, "success": True, "next_node_idx": 3}
    leader.deliver("b", {**answer, "term": leader.term - 1})
    assert leader.match_index("b") == 0
    leader.deliver("b", {**answer, "term": leader.term})
    assert leader.match_index("b") == 2


def test_a_snapshot_that_the_log_is_past_changes_nothing() -> None:
    follower, surroundings = member()
    follower.deliver("b", append(1, entries(2, 20), commit=18))
    follower.turn()
    applied = list(surroundings.applied)
    install(follower, b"everything", *entries(14, 15))
    assert (surroundings.applied, follower.applied, follower.last) == (applied, 18, (20, 1))


def test_a_group_that_stopped_compaction_keeps_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """A member that missed the seal must find it in the log of the draining group."""
    monkeypatch.setattr(snapshots, "COMPACT_ENTRIES", 4)
    for stopped in (False, True):
        follower, _surroundings = member()
        if stopped:
            follower.stop_compaction()
        follower.deliver("b", append(1, entries(2, 20), commit=20))
        for _turn in range(3):
            follower.turn()
        assert (follower.journal.snapshot is None) == stopped


def lead(member: Raft) -> None:
    member.link_up("b")
    member.postpone(0.0)
    member.turn()
    member.deliver("b", {"type": "response_vote", "term": member.term})
    assert member.state == RaftState.LEADER


def test_entries_under_way_are_not_sent_again() -> None:
    leader, surroundings = member()
    lead(leader)
    for _record in range(3):
        leader.append(b"record", lambda: None)
    leader.turn()
    assert leader.last[0] == 5
    surroundings.sent.clear()
    answer: RaftMessage = {"type": "next_node_idx", "reset": False, "success": True}
    leader.deliver("b", {**answer, "term": leader.term, "next_node_idx": 3})
    leader.turn()
    assert [said["entries"] for said in surroundings.sent] == [[]]
    leader.deliver("b", {**answer, "reset": True, "success": False, "term": leader.term, "next_node_idx": 3})
    leader.append(b"record", lambda: None)
    leader.turn()
    sent = surroundings.sent[-1]["entries"]
    assert isinstance(sent, list)
    assert [entry[1] for entry in sent] == [3, 4, 5, 6]


def test_every_chunk_of_a_snapshot_is_answered() -> None:
    follower, surroundings = member()
    chunk = Chunk(1, 15, 0, b"piece", None)
    follower.deliver("b", {"type": "append_entries", "term": 1, "commit_index": 15, "serialized": chunk})
    assert [(said["success"], said["reset"]) for said in surroundings.sent] == [(False, False)]
    assert follower.last == (1, 0)


def test_an_answer_to_an_earlier_leadership_is_ignored() -> None:
    leader, _surroundings = member()
    lead(leader)
    answer: RaftMessage = {"type": "next_node_idx", "next_node_idx": 3, "reset": False, "success": True}
    leader.deliver("b", {**answer, "term": leader.term - 1})
    assert leader.match_index("b") == 0
    leader.deliver("b", {**answer, "term": leader.term})
    assert leader.match_index("b") == 2


def test_another_version_of_the_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "VERSION", "0.3.18")
    with pytest.raises(UnsupportedLibraryError, match=r"pip install pysyncobj==0\.3\.17"):
        member()


def test_a_missing_private_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "_ATTRIBUTES", (*check._ATTRIBUTES, "gone"))
    with pytest.raises(UnsupportedLibraryError, match="gone"):
        member()


def test_compaction_keeps_the_entries_after_the_snapshot() -> None:
    follower, surroundings = member()
    follower.deliver("b", append(1, entries(2, 20), commit=15))
    follower.turn()
    assert len(surroundings.applied) == 14
    follower._core.forceLogCompaction()
    follower.turn()
    assert [e[1] for e in follower.journal[:]] == [14, 15, 16, 17, 18, 19, 20]
    assert follower.journal.snapshot is not None
    assert follower.journal.snapshot.data == b"".join(surroundings.applied)


def test_a_restart_continues_from_the_snapshot() -> None:
    storage = MemoryStorage()
    follower, first = member(storage)
    follower.deliver("b", append(1, entries(2, 20), commit=15))
    follower.turn()
    follower._core.forceLogCompaction()
    follower.turn()
    restarted, again = member(storage)
    restarted.turn()
    assert again.applied == [b"".join(first.applied)]
    assert (restarted.applied, restarted.last) == (15, (20, 1))


def test_a_snapshot_keeps_later_entries_of_a_log_that_agrees_with_it() -> None:
    follower, surroundings = member()
    follower.deliver("b", append(1, entries(2, 20)))  # acknowledged, so they count for a commit
    install(follower, b"everything", *entries(14, 15))
    assert [said["next_node_idx"] for said in surroundings.sent if said["success"]][-1] == 16
    assert surroundings.applied == [b"everything"]
    assert (follower.applied, follower.last) == (15, (20, 1))
    assert [e[1] for e in follower.journal[:]] == list(range(14, 21))


@pytest.mark.parametrize("held", [10, 20])
def test_a_snapshot_replaces_a_log_that_is_shorter_or_disagrees(held: int) -> None:
    follower, _surroundings = member()
    follower.deliver("b", append(1, entries(2, held)))
    install(follower, b"everything", *entries(14, 15, term=2), term=2)
    assert (follower.applied, follower.last) == (15, (15, 2))
    assert [e[1] for e in follower.journal[:]] == [14, 15]


def test_a_record_over_the_limit_is_refused() -> None:
    leader, _surroundings = member()
    with pytest.raises(ValueError, match="over the limit"):
        leader.append(b"x" * (MAX_COMMAND_BYTES + 1), lambda: None)


def begin_install(follower: Raft, size: int, *, offset: int = 0) -> None:
    """Delivers a chunk of a leader's snapshot, after which more chunks come."""
    chunk = Chunk(1, 15, offset, bytes(size), None)
    follower.deliver("b", {"type": "append_entries", "term": 1, "commit_index": 15, "serialized": chunk})


def test_each_chunk_of_a_snapshot_is_answered() -> None:
    """A leader that hears from no member steps down."""
    follower, surroundings = member()
    begin_install(follower, 10)
    begin_install(follower, 10, offset=10)
    assert [said["type"] for said in surroundings.sent] == ["next_node_idx"] * 2


def test_entries_end_the_transfer_of_a_snapshot() -> None:
    follower, _surroundings = member()
    begin_install(follower, 10)
    assert follower.snapshots._incoming is not None
    follower.deliver("b", append(1, entries(2, 4)))
    assert follower.snapshots._incoming is None


def test_a_lost_link_restarts_the_transfer_of_a_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "CHUNK_BYTES", 10)
    leader, _surroundings = member()
    leader.journal.save_snapshot(bytes(100), *entries(14, 15), keep_tail=False)
    for _chunk in range(3):
        leader.snapshots.next_chunk("b", 1)
    leader.link_down("b")
    chunk = leader.snapshots.next_chunk("b", 1)
    assert chunk is not None
    assert chunk.offset == 0


def test_a_vote_is_recorded_as_given_to_the_leader_unless_it_is_given() -> None:
    follower, _surroundings = member()
    follower.adopt_term(3, "b")
    assert (follower.journal.getCurrentTerm(), follower.journal.getVotedForNodeId()) == (3, "b")
    follower.adopt_term(3, "w")
    assert follower.journal.getVotedForNodeId() == "b"
    follower._core._SyncObj__setCurrentTerm(4, None)
    follower.adopt_term(4, "w")
    assert (follower.journal.getCurrentTerm(), follower.journal.getVotedForNodeId()) == (4, "w")


def test_a_record_of_a_lost_leadership_is_not_forwarded() -> None:
    """It would be committed in the term of another active."""
    follower, surroundings = member()
    follower.deliver("b", append(1, entries(2, 4)))
    surroundings.sent.clear()
    follower.append(b"a record", lambda: None)
    for _turn in range(3):
        follower.turn(may_campaign=False)
    assert surroundings.sent == []
    assert follower.last == (4, 1)


def test_an_answer_carries_the_term_of_the_member() -> None:
    follower, surroundings = member()
    follower.deliver("b", append(1, entries(2, 4, term=1), term=7))
    assert [said["term"] for said in surroundings.sent] == [7]


def test_records_that_are_queued_can_be_dropped() -> None:
    leader, _surroundings = member()
    lead(leader)
    leader.turn()
    end, failed = leader.last, list[str]()
    leader.append(b"a record", lambda: failed.append("a record"))
    leader.drop_queue()
    leader.turn()
    assert (failed, leader.last) == (["a record"], end)
