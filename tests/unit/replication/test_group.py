"""Rules of election, one member at a time; the simulation shows what they are good for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pairsim.replication.log.records import Open, decode_record
from pairsim.replication.raft.journal import Journal, MemoryStorage
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
from pairsim.replication.raft.node import Group
from pairsim.settings import Timing

LEADS = encode_message(AppendEntries(term=1, commit_index=1, entries=[], prevLogIdx=1, prevLogTerm=0))


class Recorder:
    """A wire that goes nowhere, a machine that forgets, and whoever would simulate."""

    term = 0

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.waits: list[float] = []
        self.fit = True

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

    def capable(self) -> bool:
        return self.fit

    def opened(self, term: int, succession: object) -> None: ...

    def closed(self) -> None: ...


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


def member(recorder: Recorder, journal: Journal) -> Group:
    return Group(
        "a", frozenset({"b", "w"}), wire=recorder, journal=journal, machine=recorder, leadership=recorder,
        timing=Timing(), witness=False,
    )  # fmt: skip


def voting(recorder: Recorder) -> Group:
    """A member that votes and is linked with both others."""
    journal = Journal(MemoryStorage(), "boot", "me")
    journal.enrol()
    group = member(recorder, journal)
    for peer in ("b", "w"):
        group.on_up(peer)
    return group


def grant(group: Group, recorder: Recorder) -> None:
    """The witness says yes to the question that was asked."""
    question = next(message for message in recorder.sent if isinstance(message, PreVote))
    group.on_message("w", encode_message(PreVoteGranted(round=question.round)))


def test_a_leader_that_appears_while_votes_are_asked_for_ends_the_campaign(clock: Clock) -> None:
    """Or the member would raise its term at the next silence without asking, and disturb a leader that is well."""
    recorder = Recorder()
    group = voting(recorder)
    clock.now += 1
    group.turn(0)
    grant(group, recorder)
    group.on_message("b", LEADS)
    group.turn(0)
    assert group.leader == "b"
    recorder.sent.clear()
    clock.now += 1
    group.turn(0)
    assert any(isinstance(message, PreVote) for message in recorder.sent)
    assert not any(isinstance(message, RequestVote) for message in recorder.sent)


def test_a_member_that_was_told_to_stand_before_it_may_vote_does_not_stand_when_it_may(clock: Clock) -> None:
    recorder = Recorder()
    group = member(recorder, Journal(MemoryStorage(), "boot", "me"))
    for peer in ("b", "w"):
        group.on_up(peer)
    group.on_message("b", LEADS)
    group.on_message("b", encode_message(TimeoutNow(term=1)))
    for _heartbeat in range(100):
        clock.now += 0.05
        group.on_message("b", LEADS)
        group.turn(0)
    assert group.voter
    assert (group.leader, group.term) == ("b", 1)
    assert not any(isinstance(message, RequestVote) for message in recorder.sent)


def test_a_follower_sleeps_until_the_next_ping_or_the_end_of_its_patience(clock: Clock) -> None:
    recorder, timing = Recorder(), Timing()
    group = voting(recorder)
    group.on_message("b", LEADS)
    group.turn(0)
    recorder.waits.clear()
    group.turn(60)
    assert recorder.waits[-1] == pytest.approx(min(timing.ping, group._raft.due - clock.now))
    group.turn(0.01)
    assert recorder.waits[-1] == 0.01
    clock.now += 0.1
    group.turn(60)
    assert recorder.waits[-1] == pytest.approx(recorder.waits[0] - 0.1)


def test_a_member_that_lost_its_leader_sleeps_no_longer_than_until_it_asks_for_votes(clock: Clock) -> None:
    recorder = Recorder()
    group = voting(recorder)
    group.on_message("b", LEADS)
    group.turn(60)
    group.on_down("b")
    group.turn(60)
    assert 0 < recorder.waits[-1] <= 0.001
    clock.now += 0.002
    group.turn(60)
    assert isinstance(recorder.sent[-1], PreVote)


def test_a_leader_sleeps_until_it_has_to_speak_and_goes_on_at_once_with_what_its_turn_began(clock: Clock) -> None:
    recorder, timing = Recorder(), Timing()
    group = voting(recorder)
    clock.now += 1
    group.turn(60)
    grant(group, recorder)
    recorder.sent.clear()
    group.turn(60)
    assert any(isinstance(message, RequestVote) for message in recorder.sent), "in the turn after the message"
    group.on_message("w", encode_message(ResponseVote(term=group.term)))
    group.turn(60)
    assert group.leader == "a"
    assert recorder.waits[-1] == 0, "whoever drives it learns at once that it leads"
    group.turn(60)
    assert 0 < recorder.waits[-1] <= timing.heartbeat


def test_what_is_overdue_and_cannot_be_done_does_not_keep_a_processor_busy(clock: Clock) -> None:
    """Nobody is linked: an election that is due cannot begin."""
    recorder = Recorder()
    journal = Journal(MemoryStorage(), "boot", "me")
    journal.enrol()
    group = member(recorder, journal)
    group.stand()
    group._campaigning = True
    group.turn(0)
    group.turn(60)
    assert recorder.waits[-1] == pytest.approx(0.005), "nor does it wait for long: somebody may be back"


def test_peers_learn_at_once_whether_a_member_could_simulate(clock: Clock) -> None:
    recorder = Recorder()
    group = voting(recorder)
    group.on_message("b", LEADS)
    group.turn(0)
    for fit in (False, True):
        recorder.sent.clear()
        group.turn(0)
        assert not any(isinstance(message, Ping) for message in recorder.sent)
        recorder.fit = fit
        group.turn(0)
        assert [message.capable for message in recorder.sent if isinstance(message, Ping)] == [fit, fit]


def test_patience_that_ends_in_the_middle_of_a_turn_starts_no_election_without_asking(clock: Clock) -> None:
    """The leader may be well, and what it said not read yet."""
    recorder = Recorder()
    group = voting(recorder)
    group.on_message("b", LEADS)
    group.turn(0)
    group._raft.postpone(clock.now + 0.005)
    recorder.sent.clear()
    clock.step = 0.002
    group.turn(60)
    assert clock.now > group._raft.due
    assert not any(isinstance(message, RequestVote) for message in recorder.sent)
    assert (recorder.waits[-1], group.term) == (0, 1), "what became due meanwhile is for the next turn, at once"
    group.turn(60)
    assert any(isinstance(message, PreVote) for message in recorder.sent)
    assert not any(isinstance(message, RequestVote) for message in recorder.sent)


def test_granted_votes_are_void_when_everybody_is_gone(clock: Clock) -> None:
    recorder = Recorder()
    group = voting(recorder)
    clock.now += 1
    group.turn(0)
    grant(group, recorder)
    for peer in ("b", "w"):
        group.on_down(peer)
    group.turn(60)
    group.turn(60)
    assert recorder.waits[-1] > 0.005
    clock.now += 60
    group.on_up("b")
    recorder.sent.clear()
    group.turn(0)
    assert any(isinstance(message, PreVote) for message in recorder.sent)
    assert not any(isinstance(message, RequestVote) for message in recorder.sent)


class Newsbringer(Recorder):
    """A wire with something to read, and others who end a wait while the group is at work."""

    def __init__(self) -> None:
        super().__init__()
        self.happens: list[Callable[[], None]] = []

    def poll(self, timeout: float) -> None:
        super().poll(timeout)
        if self.happens:
            self.happens.pop(0)()


def test_after_a_pause_what_the_leader_said_meanwhile_is_read_before_it_is_judged(clock: Clock) -> None:
    recorder = Newsbringer()
    group = voting(recorder)
    group.on_message("b", LEADS)
    group.turn(0)
    recorder.sent.clear()
    clock.now += 1
    recorder.happens = [lambda: group.on_message("b", LEADS)]
    group.turn(60)
    assert (group.leader, recorder.waits[-1] > 0) == ("b", True)
    assert not any(isinstance(message, PreVote) for message in recorder.sent)


def test_a_call_that_comes_before_the_first_look_at_the_wire_ends_the_wait_of_its_turn(clock: Clock) -> None:
    """That look takes the wake; the wait at the end would know nothing of it."""
    recorder = Newsbringer()
    group = voting(recorder)
    group.turn(0)
    clock.now += 1
    done: list[str] = []
    recorder.happens = [lambda: group.call_soon(lambda: done.append("late"))]
    group.turn(60)
    assert (len(recorder.waits), recorder.waits[-1]) == (3, 0)
    group.call_soon(lambda: done.append("early"))
    group.turn(60)
    assert (done, recorder.waits[-1]) == (["late", "early"], 0), "whoever called may be seen only between two turns"
    group.turn(60)
    assert recorder.waits[-1] > 0


class Opener(Recorder):
    """A machine that knows which term is open."""

    def apply(self, payload: bytes) -> None:
        record = decode_record(payload)
        assert isinstance(record, Open)
        self.term = record.term


def test_whoever_drives_a_member_learns_at_once_that_its_term_is_open(clock: Clock) -> None:
    recorder = Opener()
    group = voting(recorder)
    clock.now += 1
    group.turn(0)
    grant(group, recorder)
    group.turn(0)
    group.on_message("w", encode_message(ResponseVote(term=group.term)))
    for _turn in range(4):
        opened = group.open_term
        end = group._raft.last[0] + 1
        group.on_message("w", encode_message(NextNodeIdx(group.term, end, reset=False, success=True)))
        group.turn(60)
        if group.open_term != opened:
            break
    assert group.open_term == group.term
    assert recorder.waits[-1] == 0


def test_whoever_drives_a_member_learns_at_once_that_it_votes(clock: Clock) -> None:
    recorder = Recorder()
    group = member(recorder, Journal(MemoryStorage(), "boot", "me"))
    for peer in ("b", "w"):
        group.on_up(peer)
    group.on_message("b", LEADS)
    while not group.voter:
        clock.now += 0.05
        group.on_message("b", LEADS)
        group.turn(60)
    assert recorder.waits[-1] == 0
