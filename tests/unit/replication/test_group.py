"""Rules of election, one member at a time; the simulation shows what they are good for."""

from __future__ import annotations

import pytest

from pairsim.replication import raft
from pairsim.replication.group import Group
from pairsim.replication.journal import Journal, MemoryStorage
from pairsim.replication.messages import (
    AppendEntries,
    Message,
    PreVote,
    PreVoteGranted,
    RequestVote,
    TimeoutNow,
    decode_message,
    encode_message,
)
from pairsim.settings import Timing

LEADS = encode_message(AppendEntries(term=1, commit_index=1, entries=[], prevLogIdx=1, prevLogTerm=0))


class Recorder:
    """A wire that goes nowhere, a machine that forgets, and whoever would simulate."""

    term = 0

    def __init__(self) -> None:
        self.sent: list[Message] = []

    def start(self, handler: object) -> None: ...

    def send(self, peer: str, message: bytes) -> bool:
        self.sent.append(decode_message(message))
        return True

    def poll(self, timeout: float) -> None: ...

    def wake(self) -> None: ...

    def close(self) -> None: ...

    def apply(self, payload: bytes) -> None: ...

    def snapshot(self) -> bytes:
        return b""

    def restore(self, snapshot: bytes) -> None: ...

    def capable(self) -> bool:
        return True

    def opened(self, term: int, succession: object) -> None: ...

    def closed(self) -> None: ...


class Clock:
    now = 1000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(raft._so, "monotonicTime", lambda: made.now)
    return made


def member(recorder: Recorder, journal: Journal) -> Group:
    return Group(
        "a", frozenset({"b", "w"}), wire=recorder, journal=journal, machine=recorder, leadership=recorder,
        timing=Timing(), witness=False,
    )  # fmt: skip


def test_a_leader_that_appears_while_votes_are_asked_for_ends_the_campaign(clock: Clock) -> None:
    """Or the member would raise its term at the next silence without asking, and disturb a leader that is well."""
    recorder, journal = Recorder(), Journal(MemoryStorage(), "boot", "me")
    journal.enrol()
    group = member(recorder, journal)
    for peer in ("b", "w"):
        group.on_up(peer)
    clock.now += 1
    group.turn(0)
    question = next(message for message in recorder.sent if isinstance(message, PreVote))
    group.on_message("w", encode_message(PreVoteGranted(round=question.round)))
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
