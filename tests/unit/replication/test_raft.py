from __future__ import annotations

from collections.abc import Callable

import pytest

from pairsim.replication.raft.journal import Journal, MemoryStorage
from pairsim.replication.raft.messages import Chunk, Entry, RaftMessage, decode_message, to_raft
from pairsim.replication.raft.pysyncobj import check
from pairsim.replication.raft.pysyncobj import core as module
from pairsim.replication.raft.pysyncobj.check import UnsupportedLibraryError
from pairsim.replication.raft.pysyncobj.core import Raft
from pairsim.settings import Timing


class Silence:
    """A wire that goes nowhere, and a state machine that remembers."""

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

    def draft(self) -> Callable[[], bytes]:
        taken = b"".join(self.applied)
        return lambda: taken

    def restore(self, snapshot: bytes) -> None:
        self.applied = [snapshot]


class CountingStorage(MemoryStorage):
    """Notes how many entries a restart would find after each write."""

    def __init__(self) -> None:
        super().__init__()
        self.lengths: list[int] = []

    def append(self, data: bytes) -> None:
        super().append(data)
        self.lengths.append(len(Journal(MemoryStorage(bytes(self.data)), "boot", "me")))


def member(storage: MemoryStorage | None = None) -> tuple[Raft, Silence]:
    silence = Silence()
    journal = Journal(storage or MemoryStorage(), "boot", "me")
    return Raft("a", frozenset({"b", "w"}), wire=silence, journal=journal, machine=silence, timing=Timing()), silence


def entries(first: int, last: int, term: int = 1) -> list[tuple[bytes, int, int]]:
    return [(b"\0" + bytes([n]), n, term) for n in range(first, last + 1)]


def append(previous: int, new: list[tuple[bytes, int, int]], *, term: int = 1, commit: int = 1) -> RaftMessage:
    return {
        "type": "append_entries", "term": term, "commit_index": commit, "entries": new,
        "prevLogIdx": previous, "prevLogTerm": 0 if previous == 1 else 1,
    }  # fmt: skip


def install(follower: Raft, data: bytes, previous: Entry, last: Entry, *, term: int = 1) -> None:
    """A leader sends a snapshot."""
    chunk = Chunk(term, last[1], 0, data, (previous, last))
    follower.deliver("b", {"type": "append_entries", "term": term, "commit_index": 15, "serialized": chunk})


def test_a_message_that_comes_late_cuts_nothing_off() -> None:
    follower, wire = member()
    follower.deliver("b", append(1, entries(2, 10), commit=10))
    follower.deliver("b", append(1, entries(2, 4), commit=4))
    assert follower.last == (10, 1)
    assert wire.sent[-1]["next_node_idx"] == 5  # what this message vouches for, no more


def test_a_message_that_overlaps_adds_only_what_is_new() -> None:
    follower, _wire = member()
    follower.deliver("b", append(1, entries(2, 10)))
    follower.deliver("b", append(5, entries(6, 14)))
    assert follower.last == (14, 1)
    assert [e[1] for e in follower.journal[:]] == list(range(1, 15))


def test_a_conflict_cuts() -> None:
    follower, _wire = member()
    follower.deliver("b", append(1, entries(2, 10)))
    follower.deliver("w", append(4, entries(5, 6, term=2), term=2))
    assert follower.last == (6, 2)


def test_a_conflict_cuts_no_entry_before_it_even_for_a_moment() -> None:
    storage = CountingStorage()
    follower, _wire = member(storage)
    follower.deliver("b", append(1, entries(2, 12)))
    follower.deliver("w", append(12, entries(13, 13, term=2), term=2))
    storage.lengths.clear()
    follower.deliver("b", append(1, [*entries(2, 12), *entries(13, 14, term=3)], term=3))
    assert follower.last == (14, 3)
    assert min(storage.lengths) == 12  # whatever a crash leaves, it is what was acknowledged


def lead(member: Raft) -> None:
    member.link_up("b")
    member.postpone(0.0)
    member.turn()
    member.deliver("b", {"type": "response_vote", "term": member.term})
    assert member.state == module.RaftState.LEADER


def test_what_is_under_way_is_not_sent_again() -> None:
    leader, wire = member()
    lead(leader)
    for _record in range(3):
        leader.append(b"record", lambda: None)
    leader.turn()
    assert leader.last[0] == 5
    wire.sent.clear()
    answer: RaftMessage = {"type": "next_node_idx", "reset": False, "success": True}
    leader.deliver("b", {**answer, "term": leader.term, "next_node_idx": 3})
    leader.turn()
    assert [said["entries"] for said in wire.sent] == [[]]
    leader.deliver("b", {**answer, "reset": True, "success": False, "term": leader.term, "next_node_idx": 3})
    leader.append(b"record", lambda: None)
    leader.turn()
    sent = wire.sent[-1]["entries"]
    assert isinstance(sent, list)
    assert [entry[1] for entry in sent] == [3, 4, 5, 6]


def test_every_piece_of_a_snapshot_is_answered() -> None:
    follower, wire = member()
    chunk = Chunk(1, 15, 0, b"piece", None)
    follower.deliver("b", {"type": "append_entries", "term": 1, "commit_index": 15, "serialized": chunk})
    assert [(said["success"], said["reset"]) for said in wire.sent] == [(False, False)]
    assert follower.last == (1, 0)


def test_an_answer_from_an_earlier_leadership_does_not_count() -> None:
    leader, _wire = member()
    lead(leader)
    answer: RaftMessage = {"type": "next_node_idx", "next_node_idx": 3, "reset": False, "success": True}
    leader.deliver("b", {**answer, "term": leader.term - 1})
    assert leader.match("b") == 0
    leader.deliver("b", {**answer, "term": leader.term})
    assert leader.match("b") == 2


def test_another_version_of_the_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "VERSION", "0.3.18")
    with pytest.raises(UnsupportedLibraryError, match=r"pip install pysyncobj==0\.3\.17"):
        member()


def test_a_missing_private_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "_ATTRIBUTES", (*check._ATTRIBUTES, "gone"))
    with pytest.raises(UnsupportedLibraryError, match="gone"):
        member()


def test_compaction_keeps_the_entries_after_the_snapshot() -> None:
    follower, wire = member()
    follower.deliver("b", append(1, entries(2, 20), commit=15))
    follower.turn()
    assert len(wire.applied) == 14
    follower._core.forceLogCompaction()
    follower.turn()
    assert [e[1] for e in follower.journal[:]] == [14, 15, 16, 17, 18, 19, 20]
    assert follower.journal.snapshot is not None
    assert follower.journal.snapshot.data == b"".join(wire.applied)


def test_a_restart_goes_on_from_the_snapshot() -> None:
    storage = MemoryStorage()
    make: Callable[[Silence], Raft] = lambda wire: Raft(  # noqa: E731 - twice the same
        "a", frozenset({"b", "w"}), wire=wire, journal=Journal(storage, "boot", "me"), machine=wire, timing=Timing()
    )
    first = Silence()
    follower = make(first)
    follower.deliver("b", append(1, entries(2, 20), commit=15))
    follower.turn()
    follower._core.forceLogCompaction()
    follower.turn()
    again = Silence()
    restarted = make(again)
    restarted.turn()
    assert again.applied == [b"".join(first.applied)]
    assert (restarted.applied, restarted.last) == (15, (20, 1))


def test_a_snapshot_keeps_the_entries_after_it_if_the_log_agrees_with_it() -> None:
    follower, wire = member()
    follower.deliver("b", append(1, entries(2, 20)))  # acknowledged: they count for a commit
    install(follower, b"everything", *entries(14, 15))
    assert [said["next_node_idx"] for said in wire.sent if said["success"]][-1] == 16
    assert wire.applied == [b"everything"]
    assert (follower.applied, follower.last) == (15, (20, 1))
    assert [e[1] for e in follower.journal[:]] == list(range(14, 21))


@pytest.mark.parametrize("held", [10, 20])
def test_a_snapshot_takes_the_place_of_a_log_that_ends_before_it_or_is_another(held: int) -> None:
    follower, _wire = member()
    follower.deliver("b", append(1, entries(2, held)))
    install(follower, b"everything", *entries(14, 15, term=2), term=2)
    assert (follower.applied, follower.last) == (15, (15, 2))
    assert [e[1] for e in follower.journal[:]] == [14, 15]


def test_a_record_over_the_limit_is_refused() -> None:
    leader, _wire = member()
    with pytest.raises(ValueError, match="over the limit"):
        leader.append(b"x" * (module.MAX_COMMAND_BYTES + 1), lambda: None)
