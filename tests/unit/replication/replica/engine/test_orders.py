"""Which orders about a failing engine a leader accepts, and how it carries them out."""

from __future__ import annotations

import msgspec
import pytest

from pairsim.engine.port import EngineRaisedError
from pairsim.model.borders.answers import command_key
from pairsim.replication.log.records import Engines, Skip, encode_record
from pairsim.replication.replica.active import Active
from pairsim.replication.replica.engine.order_request import OrderRequest
from pairsim.replication.replica.engine.refusals import Situation, code_refusal, skip_refusal
from pairsim.replication.service import OrderResult, RefusedError
from pairsim.replication.standing import FAILED, Standing
from tests.simulation.engines import EngineFault
from tests.unit.replication.replica.replicas import add
from tests.unit.replication.replica.test_failing_engine import FailingReplica
from tests.unit.replication.replica.test_in_flight import Answers

PAUSED = Situation(
    area="west", tick=8, last=8, commands=("a", "b"), level=FAILED,
    running=False, code="", code_in_force="", at_rest=True, term=3, shown=7,
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
        (
            {"commands": "cdefghi"},
            "tick 8, which fails, has no command 'b': it has c, d, e, f, g and 2 more: `pairsim skip` alone lists all",
        ),
        ({"commands": ()}, "tick 8, which fails, has no command 'b': it has none"),
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


def reason_of(failing: FailingReplica, command: str) -> str:
    """Returns why the newest state has rejected a command."""
    answer = failing.state.borders.answers.get(command_key(command))
    assert answer is not None
    return answer.reason


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
    results = failing.answers.only.results
    assert [(result.status, result.tick, result.reason) for result in results] == [
        ("rejected", 2, "skipped"), ("applied", 2, ""),
    ]  # fmt: skip
    failing.tick_once()
    assert reason_of(failing, "x") == "skipped"


def test_the_tick_that_fails_is_listed_with_all_its_commands(failing: FailingReplica, active: Active) -> None:
    found = failing.replica.orders.failing_tick(2)
    assert ([c.id for c in found.commands], found.left_out) == (["x", "y"], set())
    ask(failing)
    failing.commit()
    with pytest.raises(RefusedError, match="area is not paused"):
        failing.replica.orders.failing_tick(2)


def test_a_repeated_skip_has_the_same_answer_also_when_the_area_goes_on(
    failing: FailingReplica, active: Active
) -> None:
    ask(failing)
    failing.commit()
    failing.replica.run_once(failing.now)
    submitted = len(failing.consensus.submitted)
    assert ask(failing).outcome == OrderResult(1, 2, 1)
    assert len(failing.consensus.submitted) == submitted
    failing.start_engine()
    failing.tick_once()
    assert failing.state.tick == 2
    assert ask(failing).outcome == OrderResult(1, 2, 1)
    assert isinstance(ask(failing, "y").outcome, RefusedError), "it was applied"


def test_a_skip_can_be_repeated_as_long_as_its_command_is_known(failing: FailingReplica, active: Active) -> None:
    ask(failing)
    failing.commit()
    failing.start_engine()
    for _tick in (2, 3):
        failing.tick_once()
        failing.commit()
    failing.log.orders = failing.log.orders.forget(2)
    assert ask(failing).outcome == OrderResult(1, 2, 1)
    assert isinstance(ask(failing, "y").outcome, RefusedError), "it was applied"


def test_an_order_is_refused_while_the_commit_of_the_tick_is_unknown(failing: FailingReplica) -> None:
    failing.lead()
    failing.faults.always = EngineFault.RAISE
    failing.inbox.put([add("x")], Answers())
    failing.tick_once()
    failing.consensus.reported = Standing(FAILED, term=1)
    assert "not committed yet" in str(ask(failing).outcome)


def test_an_order_is_lost_when_the_log_has_a_later_leadership_and_not_its_record(
    failing: FailingReplica, active: Active
) -> None:
    request = ask(failing)
    failing.replica.on_leadership_lost()
    failing.replica.run_once(failing.now)
    assert request.outcome is None, "the record may still be committed"
    failing.open(2)
    failing.replica.run_once(failing.now)
    assert isinstance(request.outcome, RefusedError)
    failing.start_engine()
    failing.replica.run_once(failing.now)
    assert failing.replica.failures.may_compute(2, 1, failing.now)


def test_an_order_that_is_committed_after_its_leadership_is_in_force(failing: FailingReplica, active: Active) -> None:
    request = ask(failing)
    failing.replica.on_leadership_lost()
    failing.commit()
    failing.open(2)
    failing.replica.run_once(failing.now)
    assert request.outcome == OrderResult(1, 2, 1)


@pytest.mark.parametrize("order", [Skip(2, 2, "y"), Skip(2, 2, "x"), Engines(2, 2, "")])
@pytest.mark.parametrize("command", ["x", None])
def test_another_order_that_comes_into_force_is_not_taken_for_the_own_one(
    failing: FailingReplica, active: Active, order: Skip | Engines, command: str | None
) -> None:
    request = failing.replica.orders.request(command)
    failing.replica.run_once(failing.now)
    if command is None:
        failing.start_engine()
        failing.replica.run_once(failing.now)
    assert isinstance(failing.consensus.submitted[-1], Skip if command else Engines)
    revision = failing.replica.revision
    failing.open(2)
    failing.log.apply(encode_record(order))
    assert failing.replica.revision == revision + 1
    failing.replica.on_leadership_lost()
    failing.replica.run_once(failing.now)
    assert isinstance(request.outcome, RefusedError)


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
    assert reason_of(failing, "x") == "skipped"
    assert reason_of(failing, "y") == ""


MENDED_CODE = msgspec.structs.replace(PAUSED, running=True, code="new", code_in_force="old")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({}, ""),
        ({"tick": 9}, ""),
        ({"code": "old", "shown": 8}, ""),
        ({"code": "", "shown": 8}, ""),
        ({"code_in_force": "", "shown": 8}, ""),
        ({"shown": 8}, "recorded; tick 8 was shown before it failed, so that it cannot be changed any more: "),
        ({"standing": None}, "recorded; sim-2 is not connected and may have shown tick 8: "),
        ({"last": 9}, "recorded; ticks up to 9 follow tick 8, and were computed with the code before; "),
    ],
)
def test_other_code_may_compute_a_tick_only_if_nobody_has_seen_it(change: dict[str, object], sentence: str) -> None:
    refusal = code_refusal(msgspec.structs.replace(MENDED_CODE, **change))
    assert sentence in refusal
    assert bool(refusal) is bool(sentence)


def restart(failing: FailingReplica, *, even_if_seen: bool = False) -> OrderRequest:
    request = failing.replica.orders.request(None, even_if_seen=even_if_seen)
    failing.replica.run_once(failing.now)
    return request


def test_engines_start_again_at_once_and_the_tick_is_tried_before_the_next_attempt_is_due(
    failing: FailingReplica, active: Active
) -> None:
    failures = failing.listener.engine_failures
    request = restart(failing)
    assert failing.listener.engine_failures == failures + 1
    failing.faults.poison.clear()
    failing.start_engine()
    failing.replica.run_once(failing.now)
    assert failing.consensus.submitted[-1] == Engines(1, 2, "")
    assert failing.state.tick == 1, "nothing is computed before the order is committed"
    failing.commit()
    failing.replica.run_once(failing.now)
    assert request.outcome == OrderResult(1, 2, 1)
    assert failing.state.tick == 2


def test_an_engine_that_cannot_be_started_is_reported(failing: FailingReplica, active: Active) -> None:
    request = restart(failing)
    failing.replica.failures.on_start_failed(EngineRaisedError("the simulator raised SyntaxError: no"), failing.now)
    failing.replica.run_once(failing.now)
    assert str(request.outcome) == "the engine cannot be started: the simulator raised SyntaxError: no"
    assert not any(isinstance(record, Engines) for record in failing.consensus.submitted)


def with_other_code(failing: FailingReplica) -> None:
    """Mends the simulator when the tick has failed with the code in force."""
    failing.log.apply(encode_record(Engines(1, 2, "old")))
    failing.faults.code = lambda: "old"
    failing.start_engine()
    failing.replica.run_once(failing.now)  # the order made the failure void: it fails once more
    failing.faults.code = lambda: "new"


def test_the_next_attempt_puts_mended_code_into_force(failing: FailingReplica, active: Active) -> None:
    with_other_code(failing)
    failing.disk.durable = 1
    failing.now += 1.0
    failing.replica.run_once(failing.now)
    failing.start_engine()
    failing.faults.poison.clear()
    failing.consensus.reported = Standing(FAILED, term=1, reached=2)
    failing.replica.run_once(failing.now)
    assert failing.state.tick == 1, "the other replica has computed the tick"
    state = failing.replica.failures.state(1, failing.replica.revision, failing.now)
    assert state is not None
    assert "b has computed tick 2" in state.about
    failing.consensus.reported = Standing(FAILED, term=1, reached=1)
    failing.replica.run_once(failing.now)
    assert failing.consensus.submitted[-1] == Engines(1, 2, "new")
    failing.commit()
    failing.replica.run_once(failing.now)
    assert failing.state.tick == 2


def test_an_operator_can_give_up_that_a_tick_has_one_version(failing: FailingReplica, active: Active) -> None:
    with_other_code(failing)
    failing.consensus.reported = None
    failing.disk.durable = 1
    request = restart(failing)
    failing.start_engine()
    failing.replica.run_once(failing.now)
    assert "b is not connected and may have shown tick 2" in str(request.outcome)
    failing.now += 1.0
    request = restart(failing, even_if_seen=True)
    failing.start_engine()
    failing.replica.run_once(failing.now)
    assert failing.consensus.submitted[-1] == Engines(1, 2, "new")


def test_an_active_names_the_code_of_its_engine_before_it_begins_a_tick() -> None:
    failing = FailingReplica()
    failing.faults.code = lambda: "code"
    failing.start_engine()
    failing.lead()
    failing.consensus.reported = Standing()
    failing.tick_once()
    failing.commit()
    assert len(failing.consensus.submitted) == 1, "the other replica does not know the record"
    failing.consensus.reported = Standing(term=1)
    failing.tick_once()
    failing.tick_once()
    assert failing.consensus.submitted[1] == Engines(1, 2, "code")
    assert [record.tick for record in failing.records()] == [1, 2, 3]
    assert len(failing.consensus.submitted) == 4


def test_a_replica_with_other_code_than_the_one_in_force_starts_its_engine_again(failing: FailingReplica) -> None:
    failing.faults.code = lambda: "old"
    failing.start_engine()
    failing.replica.run_once(failing.now)
    failing.open(1)
    failing.log.apply(encode_record(Engines(1, 1, "new")))
    failing.replica.run_once(failing.now)
    assert failing.listener.engine_failures == 1
    assert not failing.replica.failures.running
    failing.faults.code = lambda: "new"
    failing.start_engine()
    failing.replica.run_once(failing.now)
    assert failing.replica.standing().able
