from __future__ import annotations

from typing import cast

import pytest
from structlog.testing import capture_logs

from pairsim.model.state.table import Table
from pairsim.replication.log.records import Open, Rejection
from pairsim.replication.measurements import ReplicaMeasurements
from pairsim.replication.sync.follower import Follower
from pairsim.replication.sync.messages import Ack, Resend, ToActive, ToSubscriber, Watermark
from pairsim.replication.sync.publisher import Packed, StatePublisher
from pairsim.replication.sync.self_check import Audit
from pairsim.replication.sync.state import State
from tests.unit.replication.log.test_tick_log import apply, new, tick
from tests.unit.replication.tables import SCHEMA, same, table


class Unaudited:
    """Nothing is simulated here."""

    def begin(self, base: int, tick: int) -> None:
        pass

    def end(self) -> None:
        pass


class Pair:
    """An active's publisher and a passive, without a wire between them."""

    def __init__(self) -> None:
        self.log = new()
        apply(self.log, Open(1))
        self.state = State(Table(SCHEMA))
        self.commit_known_from_log = True
        audit = cast("Audit", Unaudited())
        self.passive = Follower(self.state, self.log, lambda: 0, audit, lambda: self.commit_known_from_log)
        self.said: list[ToActive] = []
        self.publisher = StatePublisher(SCHEMA, ReplicaMeasurements())
        self.subscriber = self.publisher.join("passive", self)
        self.passive.connected(self._reply)
        self.table = table(20)

    def _reply(self, message: ToActive) -> None:
        self.said.append(message)
        self.publisher.on_message(self.subscriber, message)

    def offer(self, message: ToSubscriber, body: Packed | None) -> None:
        assert self.passive.receive(message, memoryview(body.bytes() if body else b""))

    def send(self, number: int, *, rejected: int = 0) -> None:
        """The active moves on to a tick and publishes it."""
        self.table.column("value")[:] += number
        rejections = [Rejection(i, "no") for i in range(rejected)]
        self.publisher.publish(self.table, term=1, tick=number, committed=self.log.tick, rejected=rejections)

    def commit(self, number: int) -> None:
        apply(self.log, tick(1, number))


@pytest.fixture
def pair() -> Pair:
    return Pair()


def test_a_frame_waits_for_the_commit_of_its_tick(pair: Pair) -> None:
    pair.send(1)
    assert not pair.passive.run_once()
    assert not pair.state.valid
    pair.commit(1)
    assert pair.passive.run_once()
    assert (pair.state.tick, same(pair.state.table, pair.table)) == (1, True)
    pair.send(2)
    assert not pair.passive.run_once()
    assert pair.state.tick == 1
    pair.commit(2)
    assert pair.passive.run_once()
    assert (pair.state.tick, same(pair.state.table, pair.table)) == (2, True)
    assert pair.said == [Ack(1, 0), Ack(2, 0)]


def test_there_is_something_to_do_when_both_have_come_frame_and_commit(pair: Pair) -> None:
    """Whoever wakes it at the first of them wakes it for nothing; who does not at the second holds it up."""
    assert not pair.passive.ready()
    pair.send(1)
    assert not pair.passive.ready()
    pair.commit(1)
    assert pair.passive.ready()
    pair.passive.run_once()
    assert not pair.passive.ready()
    pair.send(2)
    apply(pair.log, tick(1, 2), Open(2))
    assert pair.passive.ready(), "a frame of a term that is over has to go"
    pair.passive.run_once()
    assert not pair.passive.ready()
    pair.commit_known_from_log = False
    pair.offer(Watermark(2, 2), None)
    assert not pair.passive.ready()
    pair.commit_known_from_log = True
    pair.publisher.publish(pair.table, term=3, tick=2, committed=2, rejected=[])
    assert not pair.passive.ready(), "a frame of a term that is not open here yet has to wait"


def test_a_newcomer_believes_what_the_stream_says_is_committed(pair: Pair) -> None:
    pair.commit_known_from_log = False
    pair.send(1)
    assert not pair.passive.run_once()
    pair.offer(Watermark(1, 1), None)
    assert pair.passive.run_once()
    assert pair.state.tick == 1


def test_frames_of_a_term_that_is_over_are_dropped(pair: Pair) -> None:
    pair.send(1)
    apply(pair.log, tick(1, 1), Open(2))
    assert not pair.passive.run_once()
    assert not pair.state.valid


def test_what_a_tick_rejected_comes_with_its_state(pair: Pair) -> None:
    pair.send(1, rejected=2)
    pair.commit(1)
    pair.passive.run_once()
    assert pair.passive.rejected == (1, [Rejection(0, "no"), Rejection(1, "no")])


def test_another_digest_than_the_logs_is_counted_named_and_mended(pair: Pair) -> None:
    pair.send(1)
    pair.commit(1)
    pair.passive.run_once()
    pair.state.table.column("value")[7] += 1
    theirs = pair.table.copy()
    theirs.column("value")[:] += 2
    pair.send(2)
    pair.commit(2)
    pair.passive.run_once()
    pair.passive.expect(2, theirs.digest())
    with capture_logs() as logs:
        pair.passive.run_once()
        assert pair.state.divergences == 1
        assert pair.said[-1] == Resend(compare=True)
        pair.send(3)
        pair.commit(3)
        pair.passive.run_once()
    diverged = [entry for entry in logs if entry["event"] == "diverged"]
    assert [(d["component"], d["entity"]) for d in diverged] == [("value", 8)]
    assert same(pair.state.table, pair.table)
    pair.passive.expect(3, pair.table.digest())
    pair.passive.run_once()
    assert pair.state.divergences == 1


def test_a_delta_to_another_state_is_refused_and_a_keyframe_asked_for(pair: Pair) -> None:
    pair.send(1)
    pair.commit(1)
    pair.passive.run_once()
    pair.state.tick = 0
    pair.send(2)
    pair.commit(2)
    assert not pair.passive.run_once()
    assert pair.said[-1] == Resend(compare=False)
    pair.send(3)
    pair.commit(3)
    assert pair.passive.run_once()
    assert same(pair.state.table, pair.table)


def test_a_new_leadership_leaves_no_room_to_frames_of_the_ones_before(pair: Pair) -> None:
    for term in range(1, 6):  # a passive that hears of leaders but not of what they commit
        for number in range(4):
            pair.publisher.publish(pair.table, term=term, tick=10 * term + number, committed=0, rejected=[])
        pair.publisher.forget()
    assert not pair.passive.run_once()
