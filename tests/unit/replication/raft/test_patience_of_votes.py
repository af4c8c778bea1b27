"""Members wait for a starved leader, and not for one that has stepped down."""

from __future__ import annotations

import pytest

from pairsim.replication.raft.messages import Ping, PreVote, PreVoteGranted, encode_message
from tests.unit.replication.raft.test_node import LEADS, Clock, Recorder, clock, voting
from tests.unit.replication.raft.test_node_leads import Listener, elect

__all__ = ["clock"]


def starved(seconds: float) -> bytes:
    return encode_message(Ping(quarantined=False, incarnation=5, founders={}, capable=True, starved=seconds))


def asked(recorder: Recorder) -> bool:
    return any(isinstance(message, PreVote) for message in recorder.sent)


def granted(recorder: Recorder) -> bool:
    return any(isinstance(message, PreVoteGranted) for message in recorder.sent)


QUESTION = encode_message(PreVote(term=9, round=1, last_index=99, last_term=9))


@pytest.mark.parametrize(("seconds", "expected"), [(0.0, True), (0.2, False)])
def test_a_follower_waits_longer_for_a_leader_that_waits_for_a_processor(
    clock: Clock, seconds: float, expected: bool
) -> None:
    recorder = Recorder()
    node = voting(recorder)
    node.on_message("b", starved(seconds))
    node.on_message("b", LEADS)
    node.turn(0)
    clock.now += 0.5
    node.turn(0)
    assert asked(recorder) is expected


def test_a_leader_that_steps_down_gets_pre_votes_at_once(clock: Clock) -> None:
    recorder = Recorder()
    node = voting(recorder)
    node.on_message("b", starved(0.5))
    node.on_message("b", LEADS)
    node.turn(0)
    node.on_message("w", QUESTION)
    assert not granted(recorder), "a leader is well as far as this member knows"
    node.on_message("b", QUESTION)
    assert granted(recorder)


@pytest.mark.parametrize(("seconds", "expected"), [(0.0, True), (0.2, False)])
def test_no_pre_vote_is_granted_while_the_leader_may_wait_for_a_processor(
    clock: Clock, seconds: float, expected: bool
) -> None:
    recorder = Recorder()
    node = voting(recorder)
    node.on_message("b", starved(seconds))
    node.on_message("b", LEADS)
    node.turn(0)
    clock.now += 0.5
    node.on_message("w", QUESTION)
    assert granted(recorder) is expected


@pytest.mark.parametrize(("seconds", "lost"), [(0.0, 1), (0.2, 0)])
def test_a_leader_waits_longer_for_answers_of_members_that_wait_for_a_processor(
    clock: Clock, seconds: float, lost: int
) -> None:
    listener = Listener()
    node = voting(listener)
    clock.now += 1.0
    elect(node, listener)
    assert len(listener.gained) == 1
    node.on_message("b", starved(seconds))
    node.turn(0)
    clock.now += 0.5
    for _turn in range(3):
        node.turn(0)
    assert listener.lost == lost
