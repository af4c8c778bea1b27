"""Which orders about a failing engine a leader accepts, and how it carries them out."""

from __future__ import annotations

import msgspec
import pytest

from pairsim.replication.log.records import Skip, encode_record
from pairsim.replication.replica.active import Active
from pairsim.replication.replica.engine.orders import OrderRequest, Situation, skip_refusal
from pairsim.replication.service import OrderResult, RefusedError
from pairsim.replication.standing import FAILED, Standing
from tests.simulation.engines import EngineFault
from tests.unit.replication.replica.replicas import add
from tests.unit.replication.replica.test_failing_engine import FailingReplica
from tests.unit.replication.replica.test_in_flight import Answers

PAUSED = Situation(
    area="west", tick=8, last=8, commands=("a", "b"), left_out=frozenset(), level=FAILED, at_rest=True, term=3, shown=7,
    other="sim-2", standing=Standing(FAILED, term=3, reached=7),
)  # fmt: skip


def test_a_command_of_the_tick_that_fails_can_be_skipped() -> None:
    assert skip_refusal(PAUSED, "b") == ""


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"level": 1}, "west is not paused: a command can be skipped only while its tick fails on both replicas"),
        ({"at_rest": False}, "the area is being handed over, or a record is not committed yet: try again in a moment"),
        ({"last": 7}, "tick 8 fails before it has any commands: mend the simulator, and west goes on with the next"),
        ({"last": 9}, "ticks up to 9 follow tick 8, and were computed with all its commands: mend the simulator"),
        ({"commands": "cdefghi"}, "tick 8, which fails, has no command 'b': it has c, d, e, f, g and 2 more"),
        ({"commands": ()}, "tick 8, which fails, has no command 'b': it has none"),
        ({"left_out": {"b"}}, "command 'b' is left out of tick 8 already"),
        ({"shown": 8}, "tick 8 was shown before it failed, so that it cannot be changed any more: mend the simulator"),
        ({"standing": None}, "sim-2 is not connected and may have shown tick 8: wait until it is back, and try again"),
        ({"standing": Standing(FAILED, term=2)}, "sim-2 does not know yet which replica leads: try again in a moment"),
        ({"standing": Standing(term=3, reached=8)}, "sim-2 has computed tick 8, so that it cannot be changed any more"),
    ],
)
def test_an_order_is_refused_with_a_sentence(change: dict[str, object], sentence: str) -> None:
    refusal = skip_refusal(msgspec.structs.replace(PAUSED, **change), "b")
    assert refusal.startswith(sentence)


@pytest.fixture
def failing() -> FailingReplica:
    return FailingReplica()


@pytest.fixture
def active(failing: FailingReplica) -> Active:
    """An active that is paused before tick 2, which has the commands `x` and `y`."""
    active = failing.lead()
    failing.tick_once()
    failing.commit()
    failing.faults.poison.add("x")
    failing.inbox.put([add("x"), add("y", 2)], failing.answers)
    failing.tick_once()
    failing.commit()
    failing.consensus.reported = Standing(FAILED, term=1, reached=1)
    assert failing.state.tick == 1
    return active


def ask(failing: FailingReplica, command: str = "x") -> OrderRequest:
    request = failing.replica.orders.request(command)
    failing.replica.run_once(failing.now)
    return request


def test_a_skipped_command_is_rejected_and_the_others_of_its_tick_are_applied(
    failing: FailingReplica, active: Active
) -> None:
    request = ask(failing)
    assert failing.consensus.submitted[-1] == Skip(1, 2, "x")
    failing.start_engine()
    failing.tick_once()
    assert failing.state.tick == 1, "nothing is computed before the order is committed"
    failing.commit()
    failing.replica.run_once(failing.now)
    assert request.outcome == OrderResult(1, 2, 1)
    failing.tick_once()
    results = failing.answers.only.results
    assert [(result.status, result.tick, result.reason) for result in results] == [
        ("rejected", 2, "skipped"), ("applied", 2, ""),
    ]  # fmt: skip
    failing.tick_once()
    assert failing.records()[-1].rejected[0].reason == "skipped"


def test_an_order_is_refused_while_the_commit_of_the_tick_is_unknown(failing: FailingReplica) -> None:
    failing.lead()
    failing.faults.always = EngineFault.RAISE
    failing.inbox.put([add("x")], Answers())
    failing.tick_once()
    failing.consensus.reported = Standing(FAILED, term=1)
    assert "not committed yet" in str(ask(failing).outcome)


def test_an_order_is_unknown_when_the_leadership_ends(failing: FailingReplica, active: Active) -> None:
    request = ask(failing)
    failing.replica.on_leadership_lost()
    failing.replica.run_once(failing.now)
    assert isinstance(request.outcome, TimeoutError)
    assert not failing.replica.failures.held


def test_one_order_at_a_time(failing: FailingReplica, active: Active) -> None:
    ask(failing)
    with pytest.raises(RefusedError, match="another order"):
        failing.replica.orders.request("y")


def test_an_order_that_nobody_waits_for_is_not_submitted(failing: FailingReplica, active: Active) -> None:
    request = failing.replica.orders.request("x")
    request.withdrawn = True
    failing.replica.run_once(failing.now)
    assert isinstance(request.outcome, RefusedError)
    assert not any(isinstance(record, Skip) for record in failing.consensus.submitted)


def test_a_replay_leaves_out_a_skipped_command(failing: FailingReplica) -> None:
    failing.faults.poison.add("x")
    failing.open(1)
    failing.tick(1, failing.digest(), commands=[add("x"), add("y", 2)])
    failing.log.apply(encode_record(Skip(1, 1, "x")))
    failing.open(2)
    failing.replica.on_leadership_gained(2, None)
    failing.replica.run_once(failing.now)
    assert failing.state.tick == 1
    assert failing.replica.active is not None
    assert failing.replica.active.last_rejected == {0: "skipped"}
