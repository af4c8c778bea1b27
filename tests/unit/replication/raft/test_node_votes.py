"""For whom a member votes, and what it answers in quarantine, while it hears a leader, and to an earlier term."""

from __future__ import annotations

import pytest

from pairsim.replication.log.records import Open
from pairsim.replication.raft import snapshots
from pairsim.replication.raft.journal import Journal
from pairsim.replication.raft.messages import (
    AppendEntries,
    Message,
    NextNodeIdx,
    Ping,
    PreVote,
    PreVoteGranted,
    RequestVote,
    ResponseVote,
    TimeoutNow,
    encode_message,
)
from pairsim.replication.raft.node import RaftNode
from pairsim.replication.raft.storage import MemoryStorage
from pairsim.settings import Timing
from tests.unit.replication.raft.test_node import LEADS, Clock, OpeningRecorder, Recorder, grant, member, voting

QUESTION = encode_message(PreVote(term=9, round=7, last_index=1, last_term=0))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("pairsim.replication.clock._source", made)
    return made


def quarantined(recorder: Recorder) -> RaftNode:
    """Returns a member without a journal, linked with both other members."""
    node = member(recorder, Journal(MemoryStorage(), "boot", "me"))
    for peer in ("b", "w"):
        node.on_up(peer)
    return node


def leading(recorder: OpeningRecorder, clock: Clock) -> RaftNode:
    """Returns the active of an opened term."""
    node = voting(recorder)
    clock.now += 1
    node.turn(0)
    grant(node, recorder)
    node.turn(0)
    node.on_message("w", encode_message(ResponseVote(term=node.term)))
    for _turn in range(4):
        node.turn(0)
        acknowledge(node, "w")
    assert node.open_term == node.term
    return node


def acknowledge(node: RaftNode, peer: str) -> None:
    """Lets a peer say that it has the whole log, and takes a turn."""
    node.on_message(peer, encode_message(NextNodeIdx(node.term, node._raft.last[0] + 1, reset=False, success=True)))
    node.turn(0)


def sent(recorder: Recorder, kind: type[Message]) -> list[Message]:
    return [message for message in recorder.sent if isinstance(message, kind)]


def test_a_member_in_quarantine_does_not_vote(clock: Clock) -> None:
    """It may have given the vote of this term already, and forgotten it."""
    recorder = Recorder()
    node = quarantined(recorder)
    request = encode_message(RequestVote(term=9, last_log_index=1, last_log_term=0))
    node.on_message("b", request)
    assert (node.term, sent(recorder, ResponseVote)) == (0, [])
    voter = voting(recorder)
    voter.on_message("b", request)
    assert (voter.term, sent(recorder, ResponseVote)) == (9, [ResponseVote(term=9)])


def test_a_member_in_quarantine_grants_no_pre_vote(clock: Clock) -> None:
    recorder = Recorder()
    quarantined(recorder).on_message("b", QUESTION)
    assert sent(recorder, PreVoteGranted) == []
    voting(recorder).on_message("b", QUESTION)
    assert sent(recorder, PreVoteGranted) == [PreVoteGranted(round=7)]


def test_a_member_in_quarantine_learns_the_term_from_a_vote_request_that_it_refuses(clock: Clock) -> None:
    node = quarantined(Recorder())
    node.on_message("b", encode_message(RequestVote(term=9, last_log_index=-1, last_log_term=-1)))
    assert node.term == 9


def test_a_member_in_quarantine_records_its_vote_as_given_to_the_leader(clock: Clock) -> None:
    """So it cannot vote for another candidate of this term when it is promoted later in the term."""
    recorder, storage = Recorder(), MemoryStorage()
    node = member(recorder, Journal(storage, "boot", "me"))
    node.on_message("b", LEADS)
    again = Journal(MemoryStorage(storage.read()), "boot", "me")
    assert (again.getCurrentTerm(), again.getVotedForNodeId()) == (1, "b")


def test_a_promotion_to_voter_is_written_down(clock: Clock) -> None:
    recorder, storage = Recorder(), MemoryStorage()
    node = member(recorder, Journal(storage, "boot", "me"))
    for peer in ("b", "w"):
        node.on_up(peer)
    while not node.voter:
        clock.now += 0.05
        node.on_message("b", LEADS)
        node.turn(0)
    assert Journal(MemoryStorage(storage.read()), "boot", "me").is_voter


def test_no_pre_vote_is_granted_while_a_leader_is_heard(clock: Clock) -> None:
    """A member that comes back does not disturb a leader that is well."""
    recorder, lease = Recorder(), 0.8 * Timing().election_min
    node = voting(recorder)
    node.on_message("b", LEADS)
    for seconds, granted in ((0.0, 0), (lease - 0.001, 0), (0.002, 1)):
        clock.now += seconds
        node.on_message("w", QUESTION)
        assert len(sent(recorder, PreVoteGranted)) == granted
    node.on_message("b", LEADS)
    node.on_message("w", QUESTION)
    assert len(sent(recorder, PreVoteGranted)) == 1


def test_a_leader_that_is_answered_grants_no_pre_vote(clock: Clock) -> None:
    recorder = OpeningRecorder()
    node = leading(recorder, clock)
    question = encode_message(PreVote(term=9, round=7, last_index=99, last_term=8))
    node.on_message("b", question)
    assert sent(recorder, PreVoteGranted) == []
    clock.now += Timing().election_min
    node.on_message("b", question)
    assert sent(recorder, PreVoteGranted) == [PreVoteGranted(round=7)], "nobody answered the leader lately"


def test_no_pre_vote_is_granted_to_a_shorter_log(clock: Clock) -> None:
    """The asker cannot win, so this member asks for votes itself."""
    recorder = Recorder()
    node = voting(recorder)
    log = [(b"\0x", 2, 1)]
    node.on_message(
        "b", encode_message(AppendEntries(term=1, commit_index=1, entries=log, prevLogIdx=1, prevLogTerm=0))
    )
    clock.now += 1
    recorder.sent.clear()
    node.on_message("w", QUESTION)
    assert sent(recorder, PreVoteGranted) == []
    assert len(sent(recorder, PreVote)) == 2


def test_an_answer_to_an_earlier_round_is_not_counted(clock: Clock) -> None:
    recorder = Recorder()
    node = voting(recorder)
    clock.now += 1
    node.turn(0)
    (first, *_others) = sent(recorder, PreVote)
    assert isinstance(first, PreVote)
    clock.now += 1
    node.turn(0)
    node.on_message("w", encode_message(PreVoteGranted(round=first.round)))
    node.turn(0)
    assert sent(recorder, RequestVote) == []


def test_entries_of_an_earlier_term_are_answered_with_the_term_and_are_no_sign_of_a_leader(clock: Clock) -> None:
    recorder = Recorder()
    node = voting(recorder)
    node.on_message("w", encode_message(RequestVote(term=5, last_log_index=-1, last_log_term=-1)))
    recorder.sent.clear()
    node.on_message("b", LEADS)
    assert sent(recorder, RequestVote) == [RequestVote(term=5, last_log_index=-1, last_log_term=-1)]
    node.on_message("w", QUESTION)
    assert len(sent(recorder, PreVoteGranted)) == 1


def test_a_transfer_that_was_not_made_is_forgotten_with_the_leadership(clock: Clock) -> None:
    """In a later leadership nobody asked for it, and the area would be handed over in the middle of its ticks."""
    recorder = OpeningRecorder()
    node = leading(recorder, clock)
    node.transfer_leadership("b")
    node.turn(0)
    assert sent(recorder, TimeoutNow) == [], "the peer lacks the log"
    recorder.able = False
    node.turn(0)
    assert node.open_term is None
    recorder.able = True
    assert node._transfer.target is None


def test_the_target_of_a_transfer_is_asked_once_it_has_the_whole_log(clock: Clock) -> None:
    recorder = OpeningRecorder()
    node = leading(recorder, clock)
    node.transfer_leadership("b")
    node.turn(0)
    acknowledge(node, "b")
    assert sent(recorder, TimeoutNow) == [TimeoutNow(term=node.term)]
    node.turn(0)
    assert len(sent(recorder, TimeoutNow)) == 1, "the request has some time to work"


def test_a_draining_group_compacts_no_more_and_is_not_the_active(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "COMPACT_ENTRIES", 1)
    recorder = OpeningRecorder()
    recorder.begin_snapshot = lambda: bytes  # type: ignore[attr-defined]
    node = leading(recorder, clock)
    node.drain()
    assert node.open_term is None
    before = node._raft.journal.snapshot
    for _turn in range(4):
        acknowledge(node, "w")
    assert node._raft.journal.snapshot is before
    assert node.open_term is None


class CountingRecorder(OpeningRecorder):
    """Counts the records that are applied."""

    applied = 0

    def apply(self, payload: bytes) -> None:
        super().apply(payload)
        self.applied += 1


def test_a_draining_group_applies_and_appends_nothing(clock: Clock) -> None:
    """The log of the next generation goes on from the seal; nothing after the seal counts."""
    recorder = CountingRecorder()
    node = leading(recorder, clock)
    node.submit(node.term, Open(node.term), lambda: None)
    node.turn(0)
    end = node._raft.last
    node.drain()
    for _turn in range(4):
        acknowledge(node, "w")
    assert (recorder.applied, node._raft.last) == (1, end)
    assert node._raft.applied == end[0], "the record is committed"


def test_a_record_of_a_term_that_is_not_open_fails_and_is_not_appended(clock: Clock) -> None:
    recorder = OpeningRecorder()
    node = leading(recorder, clock)
    failed: list[str] = []
    end = node._raft.last
    node.submit(node.term - 1, Open(node.term - 1), lambda: failed.append("earlier"))
    node.turn(0)
    assert (failed, node._raft.last) == (["earlier"], end)


def test_a_peer_whose_link_was_lost_is_a_voter_when_it_says_so_again(clock: Clock) -> None:
    """It may come back without its journal."""
    node = voting(Recorder())
    ping = encode_message(Ping(quarantined=False, incarnation=5, founders={}, capable=True))
    node.on_message("b", ping)
    assert node.voters() == {"b"}
    node.on_down("b")
    node.on_up("b")
    assert node.voters() == frozenset()
    node.on_message("b", ping)
    assert node.voters() == {"b"}
