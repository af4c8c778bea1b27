"""One leadership: how far it runs ahead, what its records hold, how it hands over and how it ends."""

from __future__ import annotations

from unittest.mock import Mock

import pytest

from pairsim.model.borders import AnswerKind
from pairsim.model.borders.answers import command_key
from pairsim.model.commands import Status
from pairsim.replication.replica.active import MAX_AHEAD, Active
from pairsim.replication.replica.handover_request import HandoverOutcome
from pairsim.replication.service import BatchInterruptedError
from tests import builders
from tests.simulation.area import SPEC
from tests.unit.replication.replica.replicas import NOW, LoneReplica, add
from tests.unit.replication.replica.test_in_flight import Answers

STEP = 1.0 / SPEC.tick_rate
NEXT = builders.assignment("a", "b", "w", generation=2, joins=("b",))


class Peer:
    """The passive, as the publisher knows it."""

    def __init__(self, lone: LoneReplica, monkeypatch: pytest.MonkeyPatch) -> None:
        self.acked, self.durable = 0, {"b": 0}
        publisher = lone.replica.publisher
        monkeypatch.setattr(publisher, "acked", lambda _peer: self.acked)
        monkeypatch.setattr(publisher, "durable_ticks", lambda: self.durable)


@pytest.fixture
def lone() -> LoneReplica:
    return LoneReplica()


@pytest.fixture
def peer(lone: LoneReplica, monkeypatch: pytest.MonkeyPatch) -> Peer:
    return Peer(lone, monkeypatch)


def run(active: Active, ticks: int, first: int = 1) -> None:
    """Calls the active at the times of the next ticks."""
    for number in range(first, first + ticks):
        active.run_once(NOW + number * STEP)


def test_it_computes_at_most_three_ticks_before_the_first_is_committed(lone: LoneReplica) -> None:
    active = lone.lead()
    run(active, 10)
    assert (lone.state.tick, len(lone.records())) == (MAX_AHEAD, MAX_AHEAD)
    lone.commit(1)
    run(active, 10, first=11)
    assert lone.state.tick == MAX_AHEAD + 1


def test_a_record_holds_the_digest_of_the_tick_before_which_has_its_rejections(lone: LoneReplica) -> None:
    active = lone.lead()
    before = lone.digest()
    lone.inbox.put([add("a"), add("b", entity=99)], Answers())
    run(active, 1)
    after = lone.digest()
    run(active, 1, first=2)
    first, second = lone.records()
    assert (first.tick, first.digest, [c.id for c in first.commands]) == (1, before, ["a", "b"])
    assert second.digest == after
    known = lone.state.borders.answers.get(command_key("b"))
    assert known is not None
    assert (known.kind, known.tick, known.reason) == (AnswerKind.REJECTED, 1, "entity 99 does not exist")


def test_a_state_that_another_thread_changed_ends_the_leadership(lone: LoneReplica) -> None:
    active = lone.lead()
    lone.state.tick = 2
    with pytest.raises(RuntimeError, match="tick 2 has no digest"):
        active.run_once(NOW + STEP)


def test_the_floor_is_the_oldest_checkpoint_of_the_pair(lone: LoneReplica, peer: Peer) -> None:
    active = lone.lead()
    lone.disk.durable, peer.durable = 40, {"b": 30}
    assert active._floor() == 30
    peer.durable = {"b": 50}
    assert active._floor() == 40


def test_a_linked_replica_that_did_not_report_its_checkpoint_keeps_every_record(lone: LoneReplica, peer: Peer) -> None:
    active = lone.lead()
    lone.disk.durable, peer.durable = 40, {}
    assert active._floor() == 0
    lone.consensus.linked = frozenset()
    assert active._floor() == 40


def test_a_batch_is_answered_when_its_tick_is_committed(lone: LoneReplica) -> None:
    active, answer = lone.lead(), Answers()
    lone.inbox.put([add("a")], answer)
    run(active, 1)
    assert not answer.got
    lone.commit()
    assert [(r.status, r.tick) for r in answer.only.results] == [(Status.APPLIED, 1)]


def test_the_end_of_a_leadership_answers_the_batches_that_wait_and_those_under_way(lone: LoneReplica) -> None:
    active, waits, under_way = lone.lead(), Answers(), Answers()
    lone.inbox.put([add("a")], under_way)
    run(active, 1)
    lone.inbox.put([add("b")], waits)
    active.end()
    for answer in (waits, under_way):
        assert [type(got) for got in answer.got] == [BatchInterruptedError]
    assert lone.inbox.waiting == 0


def test_the_end_of_a_leadership_finishes_its_handover(lone: LoneReplica, peer: Peer) -> None:
    request = lone.lead().request_handover("b", None, NOW + 1.0)
    assert lone.replica.active is not None
    lone.replica.active.end()
    assert request.finished.is_set()
    assert request.outcome is HandoverOutcome.DONE


def test_commits_of_another_term_do_not_answer(lone: LoneReplica) -> None:
    active, answer = lone.lead(), Answers()
    lone.inbox.put([add("a")], answer)
    run(active, 1)
    lone.open(2)
    lone.tick(1, 0, term=2)
    assert not answer.got


def test_a_commit_of_a_later_term_is_not_sent_with_the_state_of_this_one(
    lone: LoneReplica, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log of an active that was deposed is ahead of it for a moment; a newcomer would trust undone ticks."""
    active, publisher, sent = lone.lead(), lone.replica.publisher, Mock()
    monkeypatch.setattr(publisher, "publish", sent.publish)
    monkeypatch.setattr(publisher, "send_watermark", sent.send_watermark)
    active.request_handover("b", None, NOW + 60.0)
    active.run_once(NOW)
    run(active, 1)
    lone.commit()
    active.run_once(NOW + 2 * STEP)
    assert [call[0] for call in sent.mock_calls][-2:] == ["publish", "send_watermark"], "the area rests for the passive"
    sent.reset_mock()
    lone.open(2)
    active.run_once(NOW + 2 * STEP)
    active.handover = None
    monkeypatch.setattr(lone.replica.shown, "compute", lambda *_: True)  # the log may grow just after that
    run(active, 1, first=3)
    assert (lone.state.tick, sent.mock_calls) == (2, [])


def test_a_late_active_does_not_run_the_ticks_that_it_missed(lone: LoneReplica) -> None:
    active = lone.lead()
    late = NOW + 100 * STEP
    assert active.run_once(late) == late
    assert active.run_once(late) == pytest.approx(late + STEP)
    assert active.run_once(late) == pytest.approx(late + STEP)
    assert (lone.state.tick, lone.replica.measurements.overruns) == (2, 1)


# --- handovers


def rest(lone: LoneReplica, active: Active, peer: Peer) -> None:
    """Runs one more tick, commits it, and lets the passive have it."""
    run(active, 1)
    lone.commit()
    peer.acked = lone.state.tick
    active.run_once(NOW + 2 * STEP)


def test_a_switchover_waits_for_the_commit_and_for_the_passive(lone: LoneReplica, peer: Peer) -> None:
    active = lone.lead()
    request = active.request_handover("b", None, NOW + 60.0)
    active.run_once(NOW)
    run(active, 1)
    peer.acked = 1
    for _look in range(3):
        active.run_once(NOW + 9 * STEP)
    assert (lone.state.tick, request.sent) == (1, False), "the area rests, and the tick is not committed"
    lone.commit()
    peer.acked = 0
    active.run_once(NOW + 9 * STEP)
    assert not request.sent, "the passive lacks the tick"
    peer.acked = 1
    active.run_once(NOW + 9 * STEP)
    assert (request.sent, lone.consensus.transfers) == (True, ["b"])
    active.run_once(NOW + 9 * STEP)
    assert (lone.state.tick, lone.consensus.transfers) == (1, ["b"])


def test_the_area_does_not_rest_for_a_passive_that_is_far_behind(lone: LoneReplica, peer: Peer) -> None:
    peer.acked = -1000
    active = lone.lead()
    request = active.request_handover("b", None, NOW + 60.0)
    for number in range(1, 20):
        active.run_once(NOW + number * STEP)
        lone.commit()
    assert (lone.state.tick, request.sent) == (19, False)


def test_a_switchover_that_the_passive_does_not_take_is_withdrawn_at_its_deadline(
    lone: LoneReplica, peer: Peer
) -> None:
    """A request that stayed would hand over at any later time, in the middle of the ticks."""
    active = lone.lead()
    request = active.request_handover("b", None, NOW + 5.0)
    active.run_once(NOW)
    rest(lone, active, peer)
    assert request.sent
    active.run_once(NOW + 4.9)
    assert request.outcome is HandoverOutcome.PENDING
    active.run_once(NOW + 5.1)
    assert lone.consensus.transfers == ["b", None]
    assert (request.outcome, active.handover) == (HandoverOutcome.FAILED, None)
    assert lone.state.tick == 2, "the area goes on"


def test_a_handover_that_was_not_sent_fails_at_its_deadline(lone: LoneReplica, peer: Peer) -> None:
    peer.acked = -1000
    active = lone.lead()
    request = active.request_handover("b", None, NOW + 5.0)
    active.run_once(NOW + 5.1)
    assert (request.outcome, request.sent, active.handover) == (HandoverOutcome.FAILED, False, None)
    assert lone.consensus.transfers == []


def test_a_seal_names_the_last_tick_and_is_never_withdrawn(lone: LoneReplica, peer: Peer) -> None:
    active = lone.lead()
    request = active.request_handover("b", NEXT, NOW + 5.0)
    active.run_once(NOW)
    rest(lone, active, peer)
    assert [(seal.term, seal.tick, seal.next) for seal in lone.seals()] == [(1, 1, NEXT)]
    active.run_once(NOW + 60.0)
    assert (request.outcome, lone.state.tick, lone.consensus.transfers) == (HandoverOutcome.PENDING, 1, [])


def test_the_active_seals_only_while_every_survivor_votes(lone: LoneReplica, peer: Peer) -> None:
    lone.consensus.voting = frozenset({"b"})
    active = lone.lead()
    request = active.request_handover("b", NEXT, NOW + 60.0)
    active.run_once(NOW)
    rest(lone, active, peer)
    assert (request.sent, lone.seals()) == (False, [])
    assert lone.state.tick == 2, "the area does not rest meanwhile"
    lone.consensus.voting = frozenset({"b", "w"})
    lone.commit()
    peer.acked = 2
    active.run_once(NOW + 9 * STEP)
    assert request.sent
