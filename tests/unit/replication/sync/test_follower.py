"""The passive applies committed frames only, and repairs a state that differs from the log."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest
from structlog.testing import capture_logs

from pairsim.model.borders import AreaMap
from pairsim.model.state.schema import Component, Schema
from pairsim.model.state.table import Table
from pairsim.replication.log.records import Open
from pairsim.replication.measurements import ReplicaMeasurements
from pairsim.replication.sync.follower import Follower
from pairsim.replication.sync.messages import KEYFRAME, Ack, FrameHeader, Resend, ToActive, ToSubscriber, Watermark
from pairsim.replication.sync.publisher import WINDOW_FRAMES, PackedFrame, StatePublisher
from pairsim.replication.sync.self_check import SelfCheck
from pairsim.replication.sync.snapshots import SnapshotTaker
from pairsim.replication.sync.state import ReplicaState, state_digest
from tests.unit.replication.log.test_tick_log import apply, new, tick
from tests.unit.replication.tables import BORDERS, SCHEMA, same, table


class NoSelfCheck:
    """A self-check that checks nothing."""

    def begin(self, base: int, tick: int) -> None:
        pass

    def end(self) -> None:
        pass


class Pair:
    """The publisher of an active and the follower of a passive, connected by method calls."""

    def __init__(self, schema: Schema = SCHEMA) -> None:
        """Gives the passive's simulator a schema."""
        self.log = new()
        apply(self.log, Open(1))
        self.state = ReplicaState("area", Table(schema))
        self.commit_known_from_log = True
        self.passive = Follower(
            self.state, self.log, lambda: 0, cast("SelfCheck", NoSelfCheck()), lambda: self.commit_known_from_log
        )
        self.replies: list[ToActive] = []
        self.publisher = StatePublisher(SCHEMA, ReplicaMeasurements())
        self.subscriber = self.publisher.join("passive", self)
        self.passive.on_connected(self._reply)
        self.table = table(20)
        self.taker = SnapshotTaker()

    def _reply(self, message: ToActive) -> None:
        self.replies.append(message)
        self.publisher.on_message(self.subscriber, message)

    def offer(self, message: ToSubscriber, body: PackedFrame | None) -> None:
        assert self.passive.receive(message, memoryview(body.bytes() if body else b""))

    def send(self, number: int) -> None:
        """Publishes the state of a tick that the active has computed."""
        self.table.column("value")[:] += number
        self.publisher.publish(self.taker.take(self.table), BORDERS, term=1, tick=number, committed=self.log.tick)

    def commit(self, number: int) -> None:
        apply(self.log, tick(1, number))


@pytest.fixture
def pair() -> Pair:
    return Pair()


def test_a_frame_waits_for_the_commit_of_its_tick(pair: Pair) -> None:
    pair.send(1)
    assert not pair.passive.apply_committed()
    assert not pair.state.valid
    pair.commit(1)
    assert pair.passive.apply_committed()
    assert (pair.state.tick, same(pair.state.table, pair.table)) == (1, True)
    pair.send(2)
    assert not pair.passive.apply_committed()
    assert pair.state.tick == 1
    pair.commit(2)
    assert pair.passive.apply_committed()
    assert (pair.state.tick, same(pair.state.table, pair.table)) == (2, True)
    assert pair.replies == [Ack(1, 0), Ack(2, 0)]


def test_the_passive_is_ready_when_both_frame_and_commit_have_arrived(pair: Pair) -> None:
    """A wake at the first of the two would be useless, and a missing wake at the second would delay the frame."""
    assert not pair.passive.ready()
    pair.send(1)
    assert not pair.passive.ready()
    pair.commit(1)
    assert pair.passive.ready()
    pair.passive.apply_committed()
    assert not pair.passive.ready()
    pair.send(2)
    apply(pair.log, tick(1, 2), Open(2))
    assert pair.passive.ready(), "a frame of an earlier term must be dropped"
    pair.passive.apply_committed()
    assert not pair.passive.ready()
    pair.commit_known_from_log = False
    pair.offer(Watermark(2, 2), None)
    assert not pair.passive.ready()
    pair.commit_known_from_log = True
    pair.publisher.publish(pair.taker.take(pair.table), BORDERS, term=3, tick=2, committed=2)
    assert not pair.passive.ready(), "a frame of a term that is not open yet must wait"


def test_a_newcomer_takes_the_commit_from_the_stream(pair: Pair) -> None:
    pair.commit_known_from_log = False
    pair.send(1)
    assert not pair.passive.apply_committed()
    pair.offer(Watermark(1, 1), None)
    assert pair.passive.apply_committed()
    assert pair.state.tick == 1


def test_frames_of_an_earlier_term_are_dropped(pair: Pair) -> None:
    pair.send(1)
    apply(pair.log, tick(1, 1), Open(2))
    assert not pair.passive.apply_committed()
    assert not pair.state.valid


def test_a_divergence_is_counted_logged_and_repaired(pair: Pair) -> None:
    pair.send(1)
    pair.commit(1)
    pair.passive.apply_committed()
    pair.state.table.column("value")[7] += 1
    theirs = pair.table.copy()
    theirs.column("value")[:] += 2
    pair.send(2)
    pair.commit(2)
    pair.passive.apply_committed()
    pair.passive.expect_digest(2, state_digest(theirs, BORDERS))
    with capture_logs() as logs:
        pair.passive.apply_committed()
        assert pair.state.divergences == 1
        assert pair.replies[-1] == Resend(compare=True)
        pair.send(3)
        pair.commit(3)
        pair.passive.apply_committed()
    diverged = [entry for entry in logs if entry["event"] == "component diverged"]
    assert [(d["component"], d["entity"]) for d in diverged] == [("value", 8)]
    assert same(pair.state.table, pair.table)
    pair.passive.expect_digest(3, state_digest(pair.table, BORDERS))
    pair.passive.apply_committed()
    assert pair.state.divergences == 1


def test_a_delta_with_another_base_is_refused_and_a_keyframe_requested(pair: Pair) -> None:
    pair.send(1)
    pair.commit(1)
    pair.passive.apply_committed()
    pair.state.tick = 0
    pair.send(2)
    pair.commit(2)
    assert not pair.passive.apply_committed()
    assert pair.replies[-1] == Resend(compare=False)
    pair.send(3)
    pair.commit(3)
    assert pair.passive.apply_committed()
    assert same(pair.state.table, pair.table)


def test_frames_of_earlier_leaderships_do_not_pile_up(pair: Pair) -> None:
    for term in range(1, 6):  # the passive learns of leaders but not of their commits
        for number in range(4):
            pair.publisher.publish(
                pair.taker.take(pair.table), BORDERS, term=term, tick=10 * term + number, committed=0
            )
        pair.publisher.reset()
    assert not pair.passive.apply_committed()


@pytest.mark.parametrize(
    ("schema", "column"),
    [
        (Schema(tuple(SCHEMA)[:3]), "the column 'mass' of the state is not in the simulator"),
        (
            Schema((*tuple(SCHEMA)[:3], Component("mass", "int64"))),
            "the column 'mass' is float64 in the state and int64 in the simulator",
        ),
    ],
)
def test_a_state_with_other_columns_is_never_taken_and_the_reason_is_kept(schema: Schema, column: str) -> None:
    pair = Pair(schema)
    for number in (1, 2, 3):
        pair.send(number)
        pair.commit(number)
        assert not pair.passive.apply_committed()
    assert not pair.state.valid
    assert pair.passive.misfit == f"the active's state does not fit its simulator: {column}"
    assert pair.replies == [Resend(compare=False)], "one request: the next keyframe would not fit either"


class _EndingStream(Follower):
    """A follower whose stream ends right after a look at it."""

    @property
    def _reply(self) -> Callable[[ToActive], None] | None:  # type: ignore[override]
        found, self._current = self._current, None
        return found

    @_reply.setter
    def _reply(self, reply: Callable[[ToActive], None] | None) -> None:
        self._current = reply


@pytest.mark.parametrize("damaged", [False, True])
def test_a_stream_may_end_while_its_frame_is_applied(pair: Pair, damaged: bool) -> None:
    pair.passive = _EndingStream(
        pair.state, pair.log, lambda: 0, cast("SelfCheck", NoSelfCheck()), lambda: pair.commit_known_from_log
    )
    pair.passive.on_connected(pair.replies.append)
    pair.send(1)
    if damaged:
        frame = pair.passive._frames.pop()
        pair.passive.receive(frame.header, memoryview(b"?"))
    pair.commit(1)
    assert pair.passive.apply_committed() is not damaged
    assert pair.replies == [Resend(compare=False) if damaged else Ack(1, 0)]
    pair.commit(2)
    pair.passive.apply_committed()


def synced(pair: Pair, number: int = 1) -> None:
    """Lets the passive have the state of a tick."""
    pair.send(number)
    pair.commit(number)
    assert pair.passive.apply_committed()


def test_a_divergence_is_noticed_while_a_frame_waits_for_its_commit(pair: Pair) -> None:
    """On a busy area a frame always waits."""
    synced(pair)
    pair.send(2)
    pair.passive.expect_digest(1, 4711)
    pair.passive.apply_committed()
    assert pair.state.divergences == 1
    assert pair.replies[-1] == Resend(compare=True)


def test_a_divergence_is_counted_once_until_it_is_repaired(pair: Pair) -> None:
    synced(pair)
    synced(pair, 2)
    for number in (1, 2):
        pair.passive.expect_digest(number, 4711)
    pair.passive.apply_committed()
    assert pair.state.divergences == 1


def test_an_unconfirmed_state_is_not_compared(pair: Pair) -> None:
    """It may be undone: then its digests differ, and nothing diverged."""
    synced(pair)
    pair.state.unconfirmed_term = 1
    pair.passive.expect_digest(1, 4711)
    pair.passive.apply_committed()
    assert pair.state.divergences == 0


def test_a_delta_does_not_continue_an_unconfirmed_state(pair: Pair) -> None:
    synced(pair)
    pair.state.unconfirmed_term = 1
    pair.send(2)
    pair.commit(2)
    assert not pair.passive.apply_committed()
    assert pair.replies[-1] == Resend(compare=False)
    pair.send(3)
    pair.commit(3)
    assert pair.passive.apply_committed()
    assert (pair.state.confirmed, same(pair.state.table, pair.table)) == (True, True)


def test_a_keyframe_is_requested_once_until_it_comes(pair: Pair) -> None:
    synced(pair)
    pair.publisher.on_message = lambda *_given: None  # type: ignore[method-assign] # the request is lost
    pair.state.tick = 0
    for number in (2, 3):
        pair.send(number)
        pair.commit(number)
        pair.passive.apply_committed()
    assert [reply for reply in pair.replies if isinstance(reply, Resend)] == [Resend(compare=False)]


def test_frames_of_an_ended_stream_are_dropped(pair: Pair) -> None:
    """The next stream begins with a keyframe, and may be of another process."""
    pair.send(1)
    pair.passive.on_disconnected()
    pair.commit(1)
    assert not pair.passive.apply_committed()
    assert not pair.state.valid


def test_an_active_that_sends_more_frames_than_it_may_is_noticed(pair: Pair) -> None:
    frame = FrameHeader(1, 9, KEYFRAME, 0, b"")
    taken = [pair.passive.receive(frame, memoryview(b"")) for _frame in range(2 * WINDOW_FRAMES + 1)]
    assert taken == [True] * 2 * WINDOW_FRAMES + [False]


def test_the_acknowledgement_names_the_newest_checkpoint(pair: Pair) -> None:
    pair.passive._durable = lambda: 17
    synced(pair)
    assert pair.replies == [Ack(1, 17)]


def test_the_borders_follow_with_the_entities(pair: Pair) -> None:
    pair.send(1)
    pair.commit(1)
    pair.passive.apply_committed()
    later = BORDERS.copy()
    later.clock, later.map = 2, AreaMap(5)
    pair.publisher.publish(pair.taker.take(pair.table), later, term=1, tick=2, committed=1)
    pair.commit(2)
    pair.passive.apply_committed()
    assert pair.state.borders.map == later.map
    assert pair.state.digest(2) == state_digest(pair.table, later)


def test_a_frame_without_borders_is_refused_and_a_keyframe_requested(pair: Pair) -> None:
    pair.send(1)
    pair.commit(1)
    pair.passive.apply_committed()
    pair.commit(2)
    pair.passive.receive(FrameHeader(1, 2, 1, 2, b"nothing"), memoryview(b""))
    assert not pair.passive.apply_committed()
    assert (pair.state.tick, pair.replies[-1]) == (1, Resend(compare=False))
