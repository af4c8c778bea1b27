"""A replica whose engine could not be started: it follows, says so, and does not offer to compute."""

from __future__ import annotations

import pytest

from pairsim.engine.in_process import InProcessEngine
from pairsim.engine.port import EngineRaisedError
from pairsim.model.command_schema import Operation
from pairsim.model.simulation.interface import SimulatorInterface, interface_of
from pairsim.model.status import SimulatorPhase
from pairsim.replication.replica.engine.absent import AbsentEngine
from pairsim.replication.standing import FAILED, Standing
from tests.simulation.area import SPEC, Counters
from tests.unit.replication.replica.replicas import NOW, LoneReplica

ERROR = EngineRaisedError("the simulator raised SyntaxError: half an edit")


class NewCounters(Counters):
    operations = (*Counters.operations, Operation("reset"))


@pytest.fixture
def engine() -> AbsentEngine:
    return AbsentEngine(interface_of(Counters), ERROR)


@pytest.fixture
def lone(engine: AbsentEngine) -> LoneReplica:
    """A replica without an engine, at the state of tick 0."""
    lone = LoneReplica(engine=engine)
    before = LoneReplica().state
    lone.state.replace(before.table, before.borders, 0)
    return lone


def test_nothing_can_be_asked(engine: AbsentEngine) -> None:
    for call in (engine.populate, lambda: engine.advance(engine.table, (), 1), lambda: engine.perceive(1)):
        with pytest.raises(EngineRaisedError, match="half an edit"):
            call()


def test_the_replica_has_no_chance_and_says_why(lone: LoneReplica) -> None:
    standing = lone.replica.standing()
    assert (standing.level, standing.running, standing.code) == (FAILED, False, "")
    state = lone.replica.failures.state(0, 0, NOW)
    assert state is not None
    assert (state.phase, state.start_failed) == (SimulatorPhase.RESTARTING, True)
    assert state.predicate == "tries to start its engine; this failed: the simulator raised SyntaxError: half an edit"
    assert lone.listener.engine_failures == 0, "its driver starts an engine by itself"


def test_as_the_leader_it_hands_over_to_a_replica_that_can_compute(lone: LoneReplica) -> None:
    lone.consensus.other = "b", Standing()
    lone.lead()
    assert lone.consensus.transfers == ["b"]


def test_a_passive_without_an_engine_applies_what_it_receives(lone: LoneReplica) -> None:
    lone.open(1)
    other = LoneReplica()
    other.lead()
    other.replica.run_once(NOW + 1)
    (record,) = other.records()
    lone.tick(1, record.digest)
    lone.state.replace(other.state.table, other.state.borders, 1)
    lone.replica.run_once(NOW + 1)
    assert lone.state.tick == 1
    assert lone.state.divergences == 0


def test_an_engine_takes_its_place_with_the_operations_that_the_code_has_now(lone: LoneReplica) -> None:
    before = lone.replica.command_schema
    digest = lone.state.table.digest()
    lone.replica.offer_engine(InProcessEngine(NewCounters(SPEC), SPEC))
    lone.replica.run_once(NOW)
    assert lone.replica.standing().able
    assert lone.state.table.digest() == digest
    assert set(lone.replica.command_schema.operations) == {"add", "reset"}
    after = lone.replica.command_schema
    assert after is not before
    lone.replica.offer_engine(InProcessEngine(NewCounters(SPEC), SPEC))
    lone.replica.run_once(NOW)
    assert lone.replica.command_schema is after, "sessions are closed when it changes"


def test_an_order_starts_no_second_engine(lone: LoneReplica) -> None:
    lone.replica._engine.restart(NOW, "was ended, since other code is in force")
    assert lone.listener.engine_failures == 0
    lone.replica.offer_engine(InProcessEngine(Counters(SPEC), SPEC))
    lone.replica.run_once(NOW)
    lone.replica._engine.restart(NOW, "was ended, since other code is in force")
    assert lone.listener.engine_failures == 1


def test_an_interface_whose_parts_do_not_fit_together_is_refused() -> None:
    with pytest.raises(ValueError, match="every area has the operation 'spawn' already"):
        SimulatorInterface(tuple(Counters.components), (Operation("spawn"),))
