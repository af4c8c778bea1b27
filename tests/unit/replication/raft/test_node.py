"""The rules of one Raft member; the simulation shows what they achieve in a group."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pairsim.replication.log.records import Open, decode_record
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
    decode_message,
    encode_message,
)
from pairsim.replication.raft.node import RaftNode
from pairsim.replication.raft.storage import MemoryStorage
from pairsim.replication.standing import Standing
from pairsim.settings import Timing

LEADS = encode_message(AppendEntries(term=1, commit_index=1, entries=[], prevLogIdx=1, prevLogTerm=0))


class Recorder:
    """A transport that keeps what is sent, an empty state machine, and a leadership listener."""

    term = 0

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.waits: list[float] = []
        self.able = True

    def start(self, handler: object) -> None: ...

    def send(self, peer: str, message: bytes) -> bool:
        self.sent.append(decode_message(message))
        return True

    def backlog(self, peer: str) -> int:
        return 0

    def poll(self, timeout: float) -> None:
        self.waits.append(timeout)

    def wake(self) -> None: ...

    def close(self) -> None: ...

    def apply(self, payload: bytes) -> None: ...

    def snapshot(self) -> bytes:
        return b""

    def restore(self, snapshot: bytes) -> None: ...

    def standing(self) -> Standing:
        return Standing()

    def can_simulate(self) -> bool:
        return self.able

    def on_leadership_gained(self, term: int, succession: object) -> None: ...

    def on_leadership_lost(self) -> None: ...


class Clock:
    now = 1000.0
    step = 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("pairsim.replication.clock._source", made)
    return made


def member(recorder: Recorder, journal: Journal) -> RaftNode:
    return RaftNode(
        "a", frozenset({"b", "w"}), transport=recorder, journal=journal, state_machine=recorder, leadership=recorder,
        timing=Timing(), witness=False,
    )  # fmt: skip


def voting(recorder: Recorder) -> RaftNode:
    """Returns a voter that is linked with both other members."""
    journal = Journal(MemoryStorage(), "boot", "me")
    journal.promote_to_voter()
    node = member(recorder, journal)
    for peer in ("b", "w"):
        node.on_up(peer)
    return node


def grant(node: RaftNode, recorder: Recorder, peer: str = "w") -> None:
    """Lets a peer grant the pre-vote that was requested."""
    question = next(message for message in recorder.sent if isinstance(message, PreVote))
    node.on_message(peer, encode_message(PreVoteGranted(round=question.round)))


def test_a_leader_that_appears_during_a_campaign_ends_it(clock: Clock) -> None:
    """Otherwise the member would raise its term at the next silence without asking, and disturb a healthy leader."""
    recorder = Recorder()
    node = voting(recorder)
    clock.now += 1
    node.turn(0)
    grant(node, recorder)
    node.on_message("b", LEADS)
    node.turn(0)
    assert node.leader == "b"
    recorder.sent.clear()
    clock.now += 1
    node.turn(0)
    assert any(isinstance(message, PreVote) for message in recorder.sent)
    assert not any(isinstance(message, RequestVote) for message in recorder.sent)


def test_a_later_grant_does_not_give_up_the_running_election(clock: Clock) -> None:
    recorder = Recorder()
    node = voting(recorder)
    clock.now += 1
    node.turn(0)
    grant(node, recorder, "w")
    node.turn(0)
    grant(node, recorder, "b")
    node.turn(0)
    assert {message.term for message in recorder.sent if isinstance(message, RequestVote)} == {1}


def test_a_request_to_campaign_in_quarantine_does_not_count_later(clock: Clock) -> None:
    recorder = Recorder()
    node = member(recorder, Journal(MemoryStorage(), "boot", "me"))
    for peer in ("b", "w"):
        node.on_up(peer)
    node.on_message("b", LEADS)
    node.on_message("b", encode_message(TimeoutNow(term=1)))
    for _heartbeat in range(100):
        clock.now += 0.05
        node.on_message("b", LEADS)
        node.turn(0)
    assert node.voter
    assert (node.leader, node.term) == ("b", 1)
    assert not any(isinstance(message, RequestVote) for message in recorder.sent)


def test_a_follower_waits_until_its_next_ping_or_election_timeout(clock: Clock) -> None:
    recorder, timing = Recorder(), Timing()
    node = voting(recorder)
    node.on_message("b", LEADS)
    node.turn(0)
    recorder.waits.clear()
    node.turn(60)
    assert recorder.waits[-1] == pytest.approx(min(timing.ping, node._raft.due - clock.now))
    node.turn(0.01)
    assert recorder.waits[-1] == 0.01
    clock.now += 0.1
    node.turn(60)
    assert recorder.waits[-1] == pytest.approx(recorder.waits[0] - 0.1)


def test_a_member_that_lost_its_leader_waits_only_until_its_pre_vote(clock: Clock) -> None:
    recorder = Recorder()
    node = voting(recorder)
    node.on_message("b", LEADS)
    node.turn(60)
    node.on_down("b")
    node.turn(60)
    assert 0 < recorder.waits[-1] <= 0.001
    clock.now += 0.002
    node.turn(60)
    assert isinstance(recorder.sent[-1], PreVote)


def test_a_leader_waits_until_its_next_heartbeat(clock: Clock) -> None:
    recorder, timing = Recorder(), Timing()
    node = voting(recorder)
    clock.now += 1
    node.turn(60)
    grant(node, recorder)
    recorder.sent.clear()
    node.turn(60)
    assert any(isinstance(message, RequestVote) for message in recorder.sent), "in the turn after the message"
    node.on_message("w", encode_message(ResponseVote(term=node.term)))
    node.turn(60)
    assert node.leader == "a"
    assert recorder.waits[-1] == 0, "the caller sees at once that the member leads"
    node.turn(60)
    assert 0 < recorder.waits[-1] <= timing.heartbeat


def test_an_overdue_timer_that_cannot_fire_does_not_busy_the_processor(clock: Clock) -> None:
    """Without any link, an election that is due cannot begin."""
    recorder = Recorder()
    journal = Journal(MemoryStorage(), "boot", "me")
    journal.promote_to_voter()
    node = member(recorder, journal)
    node.campaign()
    node._election.prevote_granted = True
    node.turn(0)
    node.turn(60)
    assert recorder.waits[-1] == pytest.approx(0.005), "the wait is short, since a peer may be back"


def test_a_change_of_can_simulate_is_sent_at_once(clock: Clock) -> None:
    recorder = Recorder()
    node = voting(recorder)
    node.on_message("b", LEADS)
    node.turn(0)
    for able in (False, True):
        recorder.sent.clear()
        node.turn(0)
        assert not any(isinstance(message, Ping) for message in recorder.sent)
        recorder.able = able
        node.turn(0)
        assert [message.capable for message in recorder.sent if isinstance(message, Ping)] == [able, able]


def test_an_election_timeout_in_the_middle_of_a_turn_starts_with_a_pre_vote(clock: Clock) -> None:
    """The leader may be well, and its messages not read yet."""
    recorder = Recorder()
    node = voting(recorder)
    node.on_message("b", LEADS)
    node.turn(0)
    node._raft.postpone(clock.now + 0.005)
    recorder.sent.clear()
    clock.step = 0.002
    node.turn(60)
    assert clock.now > node._raft.due
    assert not any(isinstance(message, RequestVote) for message in recorder.sent)
    assert (recorder.waits[-1], node.term) == (0, 1), "the next turn handles the timer, at once"
    node.turn(60)
    assert any(isinstance(message, PreVote) for message in recorder.sent)
    assert not any(isinstance(message, RequestVote) for message in recorder.sent)


def test_granted_pre_votes_are_void_when_all_links_are_lost(clock: Clock) -> None:
    recorder = Recorder()
    node = voting(recorder)
    clock.now += 1
    node.turn(0)
    grant(node, recorder)
    for peer in ("b", "w"):
        node.on_down(peer)
    node.turn(60)
    node.turn(60)
    assert recorder.waits[-1] > 0.005
    clock.now += 60
    node.on_up("b")
    recorder.sent.clear()
    node.turn(0)
    assert any(isinstance(message, PreVote) for message in recorder.sent)
    assert not any(isinstance(message, RequestVote) for message in recorder.sent)


class EventfulRecorder(Recorder):
    """A transport with events to read in a poll."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Callable[[], None]] = []

    def poll(self, timeout: float) -> None:
        super().poll(timeout)
        if self.events:
            self.events.pop(0)()


def test_after_a_pause_messages_are_read_before_the_leader_is_judged(clock: Clock) -> None:
    recorder = EventfulRecorder()
    node = voting(recorder)
    node.on_message("b", LEADS)
    node.turn(0)
    recorder.sent.clear()
    clock.now += 1
    recorder.events = [lambda: node.on_message("b", LEADS)]
    node.turn(60)
    assert (node.leader, recorder.waits[-1] > 0) == ("b", True)
    assert not any(isinstance(message, PreVote) for message in recorder.sent)


def test_a_call_before_the_first_poll_ends_the_wait_of_its_turn(clock: Clock) -> None:
    """The first poll consumes the wake, so the wait at the end of the turn would miss it."""
    recorder = EventfulRecorder()
    node = voting(recorder)
    node.turn(0)
    clock.now += 1
    done: list[str] = []
    recorder.events = [lambda: node.call_soon(lambda: done.append("late"))]
    node.turn(60)
    assert (len(recorder.waits), recorder.waits[-1]) == (3, 0)
    node.call_soon(lambda: done.append("early"))
    node.turn(60)
    assert (done, recorder.waits[-1]) == (["late", "early"], 0), "the effect is seen between two turns"
    node.turn(60)
    assert recorder.waits[-1] > 0


class OpeningRecorder(Recorder):
    """A state machine that knows which term is open."""

    def apply(self, payload: bytes) -> None:
        record = decode_record(payload)
        assert isinstance(record, Open)
        self.term = record.term


def test_a_turn_returns_at_once_when_its_term_is_open(clock: Clock) -> None:
    recorder = OpeningRecorder()
    node = voting(recorder)
    clock.now += 1
    node.turn(0)
    grant(node, recorder)
    node.turn(0)
    node.on_message("w", encode_message(ResponseVote(term=node.term)))
    for _turn in range(4):
        opened = node.open_term
        end = node._raft.last[0] + 1
        node.on_message("w", encode_message(NextNodeIdx(node.term, end, reset=False, success=True)))
        node.turn(60)
        if node.open_term != opened:
            break
    assert node.open_term == node.term
    assert recorder.waits[-1] == 0


def test_a_turn_returns_at_once_when_the_member_becomes_a_voter(clock: Clock) -> None:
    recorder = Recorder()
    node = member(recorder, Journal(MemoryStorage(), "boot", "me"))
    for peer in ("b", "w"):
        node.on_up(peer)
    node.on_message("b", LEADS)
    while not node.voter:
        clock.now += 0.05
        node.on_message("b", LEADS)
        node.turn(60)
    assert recorder.waits[-1] == 0
