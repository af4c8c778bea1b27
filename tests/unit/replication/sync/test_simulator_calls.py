"""The calls of a simulator's code: which one is under way, and when it counts as stuck."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from pairsim.model.commands import Command
from pairsim.model.status import SimulatorPhase, SimulatorState
from pairsim.replication.sync import simulator_calls
from pairsim.replication.sync.simulator_calls import STUCK_AFTER_SECONDS, SimulatorCalls, commands_phrase
from tests.unit.model.counting import populated

PUSH = Command("9f", "push", 7)


class Clock:
    """A clock that a test moves, and a Raft thread that observes the calls ten times a second."""

    def __init__(self, calls: SimulatorCalls) -> None:
        self.now, self._calls = 100.0, calls

    def __call__(self) -> float:
        return self.now

    def pass_seconds(self, seconds: float) -> bool:
        stuck = False
        for _ in range(round(10 * seconds)):
            self.now += 0.1
            stuck = self._calls.observe(self.now)
        return stuck


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> SimulatorCalls:
    simulator, _table, spec = populated()
    calls = SimulatorCalls(spec, simulator)
    monkeypatch.setattr(simulator_calls, "monotonic", Clock(calls))
    return calls


def clock_of(calls: SimulatorCalls) -> Clock:
    clock = simulator_calls.monotonic
    assert isinstance(clock, Clock)
    calls.observe(clock.now)
    return clock


def test_a_call_that_does_not_return_is_stuck_until_it_returns(calls: SimulatorCalls) -> None:
    clock = clock_of(calls)
    with capture_logs() as logs:
        with calls.under_way("step", 812, [PUSH]):
            assert not clock.pass_seconds(STUCK_AFTER_SECONDS - 0.2)
            assert calls.state(clock.now) is None
            assert clock.pass_seconds(1.0), "within three seconds"
            assert calls.state(clock.now) == SimulatorState(
                "a", SimulatorPhase.STUCK, 2.8, "tick 812, with command 9f (push of entity 7)"
            )
            assert clock.pass_seconds(60.0)
        assert calls.state(clock.now) is None
        assert not clock.pass_seconds(0.1)
    assert [(entry["log_level"], entry["method"], entry["tick"]) for entry in logs] == [
        ("error", "step", 812), ("warning", "step", 812)
    ]  # fmt: skip
    assert logs[0]["commands"] == "with command 9f (push of entity 7)"


def test_many_short_calls_are_not_a_stuck_one(calls: SimulatorCalls) -> None:
    clock = clock_of(calls)
    for tick in range(50):
        with calls.under_way("step", tick):
            assert not clock.pass_seconds(0.3)


def test_a_process_that_stood_still_has_no_stuck_call(calls: SimulatorCalls) -> None:
    clock = clock_of(calls)
    with calls.under_way("perceive", 5):
        clock.pass_seconds(0.2)
        clock.now += 30.0
        assert not calls.observe(clock.now)
        assert clock.pass_seconds(STUCK_AFTER_SECONDS)
        state = calls.state(clock.now)
    assert state is not None
    assert state.about == "tick 5, in perceive"


def test_ticks_that_always_take_long_are_not_stuck(calls: SimulatorCalls) -> None:
    clock = clock_of(calls)
    with calls.under_way("step", 1):
        assert clock.pass_seconds(5.0)
    with calls.under_way("step", 2):
        assert not clock.pass_seconds(8.0)
        assert clock.pass_seconds(8.0)


def test_a_call_that_raised_stays_the_current_one(calls: SimulatorCalls) -> None:
    with pytest.raises(ZeroDivisionError), calls.under_way("step", 3, [PUSH]):
        raise ZeroDivisionError
    assert calls.current is not None
    assert calls.current.phrase == "tick 3, with command 9f (push of entity 7)"
    calls.forget()
    assert calls.current is None


@pytest.mark.parametrize(
    ("commands", "phrase"),
    [
        ([], "without commands"),
        ([PUSH], "with command 9f (push of entity 7)"),
        ([PUSH, Command("a", "set", 0)], "with commands 9f (push of entity 7), a (set of entity 0)"),
        ([PUSH] * 12, f"with commands {', '.join(['9f (push of entity 7)'] * 3)} and 9 more"),
    ],
)
def test_the_commands_of_a_tick_in_words(commands: Sequence[Command], phrase: str) -> None:
    assert commands_phrase(commands) == phrase


def test_the_longest_phrase_leaves_room_for_the_error() -> None:
    longest = [Command("x" * 64, "y" * 63, 2**63 - 1)] * 20_000
    assert len(commands_phrase(longest)) < 600
