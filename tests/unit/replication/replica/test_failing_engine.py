"""A replica whose engine fails: nothing of the tick is lost, and the better replica leads."""

from __future__ import annotations

import pytest

from pairsim.model.commands import Command
from pairsim.replication.log.records import Tick
from pairsim.replication.replica.active import Active
from pairsim.replication.replica.engine.in_use import RESTORE_SECONDS
from pairsim.replication.replica.engine.takeover_pause import MOST_SECONDS
from pairsim.replication.standing import FAILED, Standing
from pairsim.replication.sync.messages import KEYFRAME, Ack, FrameHeader, ToSubscriber
from pairsim.replication.sync.publisher import PackedFrame
from tests import builders
from tests.simulation.area import SPEC
from tests.simulation.engines import EngineFault, EngineFaults, FaultyEngine
from tests.unit.replication.replica.replicas import NOW, LoneReplica, add
from tests.unit.replication.replica.test_in_flight import Answers

STEP = 1.0 / SPEC.tick_rate


class FailingReplica(LoneReplica):
    """A replica whose engine has faults."""

    def __init__(self) -> None:
        self.faults = EngineFaults(set())
        super().__init__(engine=FaultyEngine(self.faults))
        self.now, self.answers = NOW, Answers()

    def tick_once(self) -> None:
        """Lets the time of the next tick come."""
        self.now += STEP
        self.replica.run_once(self.now)

    def start_engine(self) -> None:
        self.replica.offer_engine(FaultyEngine(self.faults))


@pytest.fixture
def failing() -> FailingReplica:
    return FailingReplica()


@pytest.fixture
def active(failing: FailingReplica) -> Active:
    active = failing.lead()
    failing.tick_once()
    failing.commit()
    assert failing.state.tick == 1
    return active


@pytest.mark.parametrize("fault", EngineFault)
def test_the_state_before_the_tick_is_restored(failing: FailingReplica, active: Active, fault: EngineFault) -> None:
    before = failing.state.table.digest()
    failing.faults.always = fault
    failing.tick_once()
    assert (failing.state.tick, failing.state.table.digest()) == (1, before)
    assert failing.listener.engine_failures == (fault is EngineFault.END), "it starts just before the next attempt"
    failing.replica.run_once(failing.now + 0.9)
    assert failing.listener.engine_failures == (fault is EngineFault.END)
    failing.replica.run_once(failing.now + 1.1)
    assert failing.listener.engine_failures == 1
    assert not failing.replica.standing().able


def test_the_tick_is_tried_again_with_the_same_commands_and_without_another_record(
    failing: FailingReplica, active: Active
) -> None:
    answers = Answers()
    failing.inbox.put([add("x")], answers)
    failing.faults.always = EngineFault.END
    failing.tick_once()
    failing.commit()
    assert [record.tick for record in failing.records()] == [1, 2]
    for _turn in range(5):
        failing.tick_once()  # without an engine
    assert failing.faults.struck == 1
    assert failing.listener.engine_failures == 1
    failing.faults.always = None
    failing.start_engine()
    failing.replica.run_once(failing.now + STEP)
    assert failing.state.tick == 2
    assert [record.tick for record in failing.records()] == [1, 2]
    assert [result.tick for result in answers.only.results] == [2]
    assert failing.replica.standing().able


def test_commands_wait_while_perceive_fails(failing: FailingReplica, active: Active) -> None:
    answers = Answers()
    failing.inbox.put([add("x")], answers)
    failing.faults.next = [EngineFault.END]
    failing.tick_once()
    assert len(failing.records()) == 1, "no record is submitted before perceive has returned"
    failing.start_engine()
    failing.tick_once()
    failing.commit()
    assert [result.tick for result in answers.only.results] == [2]


def test_the_leadership_goes_to_a_replica_with_a_better_chance_only(failing: FailingReplica, active: Active) -> None:
    failing.consensus.other = "b", Standing()
    failing.tick_once()
    assert failing.consensus.transfers == []
    failing.faults.always = EngineFault.RAISE
    failing.consensus.other = "b", Standing(FAILED, True, failing.state.tick)
    failing.tick_once()
    assert failing.consensus.transfers == [], "the other replica has failed as well"
    failing.consensus.other = "b", Standing(1)
    failing.tick_once()
    failing.tick_once()
    assert failing.consensus.transfers == ["b"]
    failing.consensus.other = None
    failing.tick_once()
    assert failing.consensus.transfers == ["b", None], "the other replica is gone"


def test_the_leadership_is_handed_over_before_the_state_is_restored(failing: FailingReplica, active: Active) -> None:
    """A copy of a large state takes milliseconds, and the area stands still meanwhile."""
    torn, before = failing.state.table, failing.state.table.digest()
    failing.consensus.other = "b", Standing()
    failing.faults.always = EngineFault.END
    failing.tick_once()
    assert (failing.consensus.transfers, failing.state.table) == (["b"], torn)
    assert failing.replica.due == pytest.approx(failing.now + RESTORE_SECONDS)
    failing.replica.on_leadership_lost()
    failing.replica.run_once(failing.now)
    assert failing.replica.active is None
    assert (failing.state.tick, failing.state.table.digest()) == (1, before)


def test_an_engine_starts_after_the_first_tick_of_the_replica_that_takes_over(
    failing: FailingReplica, active: Active
) -> None:
    """Its start keeps a processor busy, which the takeover needs."""
    failing.consensus.other = "b", Standing()
    failing.replica.on_engine_end("was ended by SIGKILL")
    failing.replica.run_once(failing.now)
    assert failing.consensus.transfers == ["b"]
    failing.replica.on_leadership_lost()
    failing.open(2)
    for tick in (2, 3):
        failing.replica.run_once(failing.now)
        assert failing.listener.engine_failures == 0
        failing.tick(tick, 0, term=2)
    failing.replica.run_once(failing.now)
    assert failing.listener.engine_failures == 1


def test_an_engine_starts_soon_although_nobody_takes_over(failing: FailingReplica, active: Active) -> None:
    failing.consensus.other = "b", Standing()
    failing.replica.on_engine_end("was ended by SIGKILL")
    failing.replica.run_once(failing.now)
    failing.commit()
    failing.replica.run_once(failing.now + MOST_SECONDS - 0.01)
    assert failing.listener.engine_failures == 0
    failing.replica.run_once(failing.now + MOST_SECONDS)
    assert failing.listener.engine_failures == 1


def test_a_switchover_is_left_to_the_active(failing: FailingReplica, active: Active) -> None:
    active.request_handover("b", None, failing.now + 10)
    failing.consensus.other = "b", Standing()
    failing.faults.always = EngineFault.RAISE
    failing.tick_once()
    assert failing.consensus.transfers == []


def test_a_takeover_that_fails_is_tried_again(failing: FailingReplica) -> None:
    failing.open(1)
    digest = failing.digest()
    failing.tick(1, digest, commands=[add("x")])
    before = failing.state.table.digest()
    failing.faults.next = [EngineFault.RAISE]
    failing.open(2)
    failing.replica.on_leadership_gained(2, None)
    failing.replica.run_once(failing.now)
    assert failing.replica.active is None
    assert (failing.state.tick, failing.state.table.digest()) == (0, before)
    assert failing.replica.can_simulate(), "it leads, and shows the tick before"
    failing.start_engine()
    failing.replica.run_once(failing.now + 0.5)
    active = failing.replica.active
    assert active is not None, "it leads, and publishes the tick before"
    assert failing.state.tick == 0, "it waits a second"
    failing.replica.run_once(failing.now + 1.0)
    assert failing.replica.active is active
    assert failing.state.tick == 1
    assert failing.records() == [], "the tick has a record"
    failing.replica.run_once(failing.now + 1.0 + STEP)
    assert [record.tick for record in failing.records()] == [2]


def test_an_engine_that_ends_on_a_passive_is_started_again(failing: FailingReplica) -> None:
    failing.replica.on_engine_end("was ended by SIGKILL")
    failing.replica.run_once(failing.now)
    assert failing.listener.engine_failures == 1
    assert not failing.replica.standing().running
    failing.replica.run_once(failing.now)
    assert failing.listener.engine_failures == 1
    failing.start_engine()
    failing.replica.run_once(failing.now)
    assert failing.replica.standing().able


def test_a_record_of_the_failed_tick_has_all_commands(failing: FailingReplica, active: Active) -> None:
    failing.inbox.put([add("x"), Command("y", "add", 2, {"amount": 1})], Answers())
    failing.faults.always = EngineFault.RAISE
    failing.tick_once()
    record = failing.records()[-1]
    assert isinstance(record, Tick)
    assert [command.id for command in record.commands] == ["x", "y"]


class Frames:
    """A subscriber of the state stream that keeps what it gets."""

    def __init__(self) -> None:
        self.messages: list[ToSubscriber] = []

    def offer(self, message: ToSubscriber, _body: PackedFrame | None) -> None:
        self.messages.append(message)


@pytest.fixture
def paused(failing: FailingReplica, active: Active) -> Active:
    """An active that is paused before tick 2, which has a record."""
    failing.faults.always = EngineFault.RAISE
    failing.tick_once()
    failing.commit()
    assert (failing.state.tick, failing.log.tick) == (1, 2)
    return active


def test_a_paused_active_publishes_its_state_to_a_newcomer(failing: FailingReplica, paused: Active) -> None:
    frames = Frames()
    failing.replica.publisher.join("c", frames)
    for _turn in range(3):
        failing.tick_once()
    headers = [message for message in frames.messages if isinstance(message, FrameHeader)]
    assert [(header.tick, header.base, header.committed) for header in headers] == [(1, KEYFRAME, 2)]


def test_a_paused_active_opens_the_next_generation(failing: FailingReplica, paused: Active) -> None:
    subscriber = failing.replica.publisher.join("c", Frames())
    following = builders.assignment("a", "c", "w", spec=SPEC, generation=2, joins=("c",))
    paused.request_handover("c", following, failing.now + 5.0)
    failing.tick_once()
    assert failing.seals() == [], "the newcomer lacks the state"
    failing.tick_once()
    failing.replica.publisher.on_message(subscriber, Ack(1, 0))
    failing.tick_once()
    assert [seal.tick for seal in failing.seals()] == [2], "the record that no engine can compute comes along"
