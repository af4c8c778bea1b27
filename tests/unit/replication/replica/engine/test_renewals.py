"""An order renews the engines of an area that runs: the area waits for the record only, and one code is in force."""

from __future__ import annotations

import msgspec
import pytest

from pairsim.engine.port import EngineRaisedError
from pairsim.model.status import SimulatorPhase
from pairsim.replication.log.records import Engines, encode_record
from pairsim.replication.service import OrderResult
from pairsim.replication.standing import OTHER_CODE, Standing
from tests.simulation.engines import FaultyEngine
from tests.unit.replication.replica.engine.test_orders import restart
from tests.unit.replication.replica.test_failing_engine import FailingReplica


@pytest.fixture
def failing() -> FailingReplica:
    return FailingReplica()


class Renewal:
    """An order to renew the engines of an area that runs, whose engine has the code "old" and whose files "new"."""

    def __init__(self, failing: FailingReplica, files: str = "new") -> None:
        failing.faults.code = lambda: "old"
        failing.start_engine()
        failing.consensus.reported = Standing(term=1)
        failing.lead()
        for _tick in range(2):
            failing.tick_once()
            failing.commit()
        assert failing.log.orders.code == "old"
        failing.faults.code = lambda: files
        self.failing, self.before = failing, failing.replica._engine.current
        self.request = restart(failing)
        self.number = failing.replica.standing().renewal

    def fresh_engine(self) -> FaultyEngine:
        """Lets the fresh engine of the leader be ready."""
        fresh = FaultyEngine(self.failing.faults)
        self.failing.replica.offer_fresh_engine(fresh)
        self.failing.replica.run_once(self.failing.now)
        return fresh

    def other(self, **standing: object) -> None:
        """Lets the other replica report something."""
        self.failing.consensus.reported = msgspec.structs.replace(Standing(term=1, code="old"), **standing)
        self.failing.replica.run_once(self.failing.now)

    def in_force(self) -> Engines:
        """Commits the record of the order, and returns it."""
        record = self.failing.consensus.submitted[-1]
        assert isinstance(record, Engines), "no order was submitted"
        self.failing.disk.durable = 2
        self.failing.commit()
        self.failing.replica.run_once(self.failing.now)
        return record


def test_the_engines_of_an_area_that_runs_are_renewed_at_one_tick(failing: FailingReplica) -> None:
    failing.disk.durable = 2
    renewal = Renewal(failing)
    assert failing.listener.fresh_engines == 1
    fresh = renewal.fresh_engine()
    failing.tick_once()
    failing.commit()
    assert failing.state.tick == 3, "it goes on until the other replica is ready"
    failing.disk.durable = 3
    renewal.other(renewal=renewal.number, fresh="new")
    assert failing.consensus.submitted[-1] == Engines(1, 4, "new")
    failing.tick_once()
    assert failing.state.tick == 3, "nothing is computed before the order is in force"
    renewal.in_force()
    assert renewal.request.outcome == OrderResult(1, 4, 2, running=True, other_code=True)
    assert failing.listener.ended == [renewal.before]
    assert failing.replica._engine.current is fresh
    assert failing.listener.engine_failures == 0
    assert failing.state.tick == 4
    assert failing.replica.standing().renewal == 0


def test_other_code_waits_until_the_state_is_on_disk(failing: FailingReplica) -> None:
    renewal = Renewal(failing)
    renewal.fresh_engine()
    renewal.other(renewal=renewal.number, fresh="new")
    assert not isinstance(failing.consensus.submitted[-1], Engines)
    failing.tick_once()
    assert failing.state.tick == 2
    assert failing.disk.offered[-1] == (2, True), "it is urgent"
    failing.disk.durable = 2
    failing.tick_once()
    assert renewal.in_force() == Engines(1, 3, "new")


def test_a_renewal_does_not_wait_for_long_for_the_other_replica(failing: FailingReplica) -> None:
    renewal = Renewal(failing, files="old")
    renewal.fresh_engine()
    renewal.other(renewal=renewal.number - 1)
    assert not isinstance(failing.consensus.submitted[-1], Engines), "that was another order"
    failing.tick_once()
    failing.commit()
    failing.replica.run_once(failing.now + 10.1)
    assert isinstance(renewal.in_force(), Engines)
    assert isinstance(renewal.request.outcome, OrderResult)


def test_a_fresh_engine_that_cannot_be_started_changes_nothing(failing: FailingReplica) -> None:
    renewal = Renewal(failing)
    failing.replica.offer_fresh_engine(EngineRaisedError("the simulator raised SyntaxError: no"))
    failing.tick_once()
    cause = "the engine cannot be started: the simulator raised SyntaxError: no; area goes on with the engine that it"
    assert str(renewal.request.outcome).startswith(cause)
    assert failing.state.tick == 3
    assert failing.replica.standing().able


def test_an_update_that_came_to_the_other_replica_first_is_put_into_force_and_it_leads(failing: FailingReplica) -> None:
    failing.disk.durable = 2
    renewal = Renewal(failing, files="old")
    renewal.fresh_engine()
    failing.consensus.other = "b", Standing(OTHER_CODE, tick=2, code="new", renewal=renewal.number, fresh="new")
    renewal.other(level=OTHER_CODE, code="new", renewal=renewal.number, fresh="new")
    assert renewal.in_force() == Engines(1, 3, "new")
    assert renewal.request.outcome == OrderResult(1, 3, 2, running=True, other_code=True, code_of="b")
    assert failing.replica.standing().level == OTHER_CODE
    assert failing.listener.engine_failures == 0, "its files have nothing new"
    failing.consensus.other = "b", Standing(term=1, code="new", revision=2)
    failing.tick_once()
    assert failing.consensus.transfers[-1] == "b"


def test_a_passive_has_an_engine_ready_for_the_order_of_the_leader(failing: FailingReplica) -> None:
    failing.open(1)
    failing.faults.code = lambda: "new"
    before = failing.replica._engine.current
    failing.consensus.reported = Standing(term=1, renewal=7)
    failing.replica.run_once(failing.now)
    assert failing.listener.fresh_engines == 1
    assert failing.replica.standing().renewal == 0, "it is not ready"
    fresh = FaultyEngine(failing.faults)
    failing.replica.offer_fresh_engine(fresh)
    failing.replica.run_once(failing.now)
    assert (failing.replica.standing().renewal, failing.replica.standing().fresh) == (7, "new")
    failing.consensus.reported = Standing(term=1)
    failing.log.apply(encode_record(Engines(1, 1, "new")))
    failing.replica.run_once(failing.now)
    assert failing.replica._engine.current is fresh
    assert failing.listener.ended == [before]
    assert failing.listener.engine_failures == 0


def test_a_passive_keeps_a_fresh_engine_only_for_a_while(failing: FailingReplica) -> None:
    failing.consensus.reported = Standing(term=1, renewal=7)
    failing.replica.run_once(failing.now)
    fresh = FaultyEngine(failing.faults)
    failing.replica.offer_fresh_engine(fresh)
    failing.consensus.reported = Standing(term=1)
    failing.replica.run_once(failing.now + 9.0)
    assert failing.listener.ended == []
    failing.replica.run_once(failing.now + 11.0)
    assert failing.listener.ended == [fresh]


def test_an_engine_with_other_code_computes_nothing_until_an_order_says_so(failing: FailingReplica) -> None:
    failing.faults.code = lambda: "new"
    failing.start_engine()
    failing.replica.run_once(failing.now)
    failing.open(1)
    failing.log.apply(encode_record(Engines(1, 1, "old")))
    failing.lead(2)
    failing.start_engine()
    for _turn in range(5):
        failing.tick_once()
    assert failing.state.tick == 0
    state = failing.replica.failures.state(0, failing.replica.revision, failing.now)
    assert state is not None
    assert state.phase is SimulatorPhase.OTHER_CODE
    assert failing.replica.standing().level == OTHER_CODE
    assert not any(isinstance(record, Engines) for record in failing.consensus.submitted)


def test_a_state_from_before_other_code_cannot_be_carried_on(failing: FailingReplica) -> None:
    failing.open(1)
    failing.log.apply(encode_record(Engines(1, 1, "old")))
    failing.tick(1, failing.digest())
    assert failing.replica.can_simulate()
    failing.log.apply(encode_record(Engines(1, 2, "old")))
    assert failing.replica.can_simulate(), "its code is the same"
    failing.log.apply(encode_record(Engines(1, 2, "new")))
    assert not failing.replica.can_simulate()
