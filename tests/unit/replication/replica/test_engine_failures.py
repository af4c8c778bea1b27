"""What a replica remembers of a failed engine, and when it tries again."""

from __future__ import annotations

import pytest

from pairsim.engine.port import EngineError, EngineHungError, EngineLostError, EngineRaisedError
from pairsim.model.status import SimulatorPhase
from pairsim.replication.replica.engine.failures import MAX_RETRY_SECONDS, EngineFailures
from pairsim.replication.standing import FAILED, Standing

NOW = 100.0
RAISED, ENDED = EngineRaisedError("the simulator raised ValueError: no"), EngineLostError("was ended by SIGSEGV")


@pytest.fixture
def failures() -> EngineFailures:
    return EngineFailures("west")


def fail(failures: EngineFailures, error: EngineError, tick: int, now: float = NOW) -> None:
    failures.on_failure(error, tick, now, f"tick {tick}, without commands", 0)
    failures.on_started()


def test_an_engine_that_works_has_the_best_standing(failures: EngineFailures) -> None:
    assert failures.standing(5, 0) == Standing()
    assert failures.state(5, 0, NOW) is None


@pytest.mark.parametrize("error", [RAISED, EngineHungError(2.0, "in step")])
def test_an_exception_and_a_hang_count_at_once(failures: EngineFailures, error: EngineError) -> None:
    fail(failures, error, 6)
    assert failures.standing(5, 0) == Standing(FAILED, True, 5)


def test_two_ends_of_an_engine_count_as_much_as_one_exception(failures: EngineFailures) -> None:
    fail(failures, ENDED, 6)
    assert failures.standing(5, 0) == Standing(1)
    assert failures.may_compute(6, 0, NOW)
    assert failures.state(5, 0, NOW) is None, "the engine runs again, and has failed once only"
    fail(failures, ENDED, 6)
    assert failures.standing(5, 0).level == FAILED
    assert not failures.may_compute(6, 0, NOW)


def test_a_failure_counts_for_its_tick_alone(failures: EngineFailures) -> None:
    fail(failures, RAISED, 6)
    assert failures.standing(6, 0) == Standing()
    assert failures.may_compute(7, 0, NOW)
    fail(failures, ENDED, 7)
    assert failures.standing(6, 0) == Standing(1), "the failure of another tick does not count"


def test_a_tick_that_is_computed_makes_its_failures_forgotten(failures: EngineFailures) -> None:
    fail(failures, RAISED, 6)
    failures.on_computed(6)
    assert failures.standing(5, 0) == Standing()


def test_an_engine_that_ends_between_two_ticks_has_not_failed_at_one(failures: EngineFailures) -> None:
    failures.on_failure(ENDED, 6, NOW, "", 0)
    assert failures.standing(5, 0) == Standing(0, False, 5)
    assert not failures.may_compute(6, 0, NOW)
    state = failures.state(5, 0, NOW + 1)
    assert state is not None
    assert (state.phase, state.seconds) == (SimulatorPhase.RESTARTING, 1.0)
    assert state.predicate == "starts its engine again: the engine was ended by SIGSEGV"
    failures.on_started()
    assert failures.standing(5, 0) == Standing()


def test_an_engine_that_does_not_start_is_shown(failures: EngineFailures) -> None:
    failures.on_failure(ENDED, 6, NOW, "", 0)
    failures.on_start_failed(EngineRaisedError("the simulator raised SyntaxError: no"), NOW + 1)
    state = failures.state(5, 0, NOW + 2)
    assert state is not None
    assert state.predicate == "tries to start its engine; this failed: the simulator raised SyntaxError: no"


def test_an_engine_that_cannot_be_started_counts_as_failed_at_every_tick(failures: EngineFailures) -> None:
    failures.on_failure(ENDED, 6, NOW, "", 0)
    failed = Standing(FAILED, True, 5)
    assert failures.standing(5, 0).rank(0) < failed.rank(0), "an engine that starts has a chance"
    failures.on_start_failed(EngineRaisedError("no module named growth"), NOW + 1)
    assert failures.standing(5, 0).rank(0) == failed.rank(0), "a leader that failed keeps the leadership, and pauses"
    assert failures.standing(8, 2).level == FAILED
    failures.on_started()
    assert failures.standing(5, 0) == Standing()


def test_a_paused_leader_says_that_its_engine_cannot_be_started(failures: EngineFailures) -> None:
    failures.on_failure(RAISED, 6, NOW, "tick 6, without commands", 0)
    failures.on_start_failed(EngineRaisedError("no module named growth"), NOW + 1)
    state = failures.state(5, 0, NOW + 2)
    assert state is not None
    assert state.about == f"{RAISED} in tick 6, without commands; its engine cannot be started: no module named growth"


def test_further_attempts_come_less_and_less_often(failures: EngineFailures) -> None:
    now, pauses = NOW, []
    for _attempt in range(9):
        fail(failures, RAISED, 6, now)
        state = failures.state(5, 0, now)
        assert state is not None
        assert state.phase is SimulatorPhase.PAUSED
        pauses.append(state.seconds)
        assert not failures.may_compute(6, 0, now + pauses[-1] - 0.01)
        now += pauses[-1]
        assert failures.may_compute(6, 0, now)
    assert pauses == [1, 2, 4, 8, 16, 32, MAX_RETRY_SECONDS, MAX_RETRY_SECONDS, MAX_RETRY_SECONDS]


def test_the_order_of_replicas() -> None:
    order = [
        Standing(0), Standing(1), Standing(0, False, 9), Standing(0, False, 7), Standing(FAILED, True, 9),
        Standing(FAILED, True, 7),
    ]  # fmt: skip
    assert sorted(order[3:] + order[:3], key=lambda standing: standing.rank(0)) == order
    assert Standing(FAILED, False, 9).rank(0) == Standing(FAILED, True, 9).rank(0), (
        "an engine without a chance is not missed"
    )


def test_an_order_makes_earlier_failures_void(failures: EngineFailures) -> None:
    fail(failures, RAISED, 6)
    assert failures.may_compute(6, 1, NOW)
    assert failures.standing(5, 1) == Standing(0, True, 0, 1)
    assert failures.state(5, 1, NOW) is None
    failed_before, ready = failures.standing(5, 0), Standing(0, True, 0, 1)
    assert failed_before.rank(0) > Standing().rank(0)
    assert failed_before.rank(1) == ready.rank(1)


def test_nothing_is_computed_while_an_order_is_under_way(failures: EngineFailures) -> None:
    failures.hold(True, "")
    assert not failures.may_compute(6, 0, NOW)


def test_the_other_replica_learns_at_once_of_all_but_ticks_that_go_on() -> None:
    assert Standing().news == Standing(reached=9).news
    assert len({s.news for s in (Standing(), Standing(1), Standing(0, False), Standing(0, True, 0, 1))}) == 4
    assert Standing().news != Standing(term=2).news


@pytest.mark.parametrize(("commands", "command"), [((), ""), (("a",), "a"), (("a", "b"), "")])
def test_a_pause_names_the_only_command_of_its_tick(
    failures: EngineFailures, commands: tuple[str, ...], command: str
) -> None:
    failures.on_failure(RAISED, 6, NOW, "tick 6", 0, commands)
    state = failures.state(5, 0, NOW)
    assert state is not None
    assert (state.tick, state.commands, state.command) == (6, len(commands), command)
