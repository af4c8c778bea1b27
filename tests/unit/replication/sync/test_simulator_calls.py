"""The calls of a simulator's code: which one is under way, and when it counts as stuck."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from structlog.testing import capture_logs

from pairsim.engine.in_process import InProcessEngine
from pairsim.engine.port import EngineHungError, EngineRaisedError
from pairsim.model.commands import Command
from pairsim.model.state.table import Table
from pairsim.model.status import SimulatorPhase, SimulatorState
from pairsim.replication.sync import simulator_calls
from pairsim.replication.sync.simulator_calls import STUCK_AFTER_SECONDS, SimulatorCalls, commands_phrase
from tests.unit.model.counting import populated

PUSH = Command("9f", "push", 7)
SEEN = Command("seen", "push", 8)


class ScriptedEngine(InProcessEngine):
    """An engine in whose calls the test goes on."""

    meanwhile: Callable[[], object] = staticmethod(lambda: None)
    stepped: Table | None = None

    def advance(self, table: Table, commands: Sequence[Command], tick: int) -> dict[int, str]:
        self.stepped = table
        self.meanwhile()
        return {place: f"{command.id} at {tick}" for place, command in enumerate(commands)}

    def perceive(self, tick: int) -> list[Command]:
        self.meanwhile()
        return [SEEN]


class Calls:
    """The calls of a replica thread, a clock that a test moves, and a Raft thread that observes ten times a second."""

    def __init__(self) -> None:
        simulator, _table, spec = populated()
        self.engine = ScriptedEngine(simulator, spec)
        self.calls = SimulatorCalls(spec, self.engine)
        self.now = 100.0
        self.calls.observe(self.now)

    def clock(self) -> float:
        return self.now

    def pass_seconds(self, seconds: float) -> bool:
        stuck = False
        for _ in range(round(10 * seconds)):
            self.now += 0.1
            stuck = self.calls.observe(self.now)
        return stuck

    def step(self, tick: int, commands: Sequence[Command], meanwhile: Callable[[], object]) -> dict[int, str]:
        self.engine.meanwhile = meanwhile
        return self.calls.advance(self.engine.check_table, commands, tick)

    def perceive(self, tick: int, meanwhile: Callable[[], object]) -> list[Command]:
        self.engine.meanwhile = meanwhile
        return self.calls.perceive(tick)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Calls:
    calls = Calls()
    monkeypatch.setattr(simulator_calls, "monotonic", calls.clock)
    return calls


def test_the_engine_answers_the_calls(made: Calls) -> None:
    current: list[str] = []

    def note() -> None:
        assert made.calls.current is not None
        current.append(made.calls.current.phrase)

    assert made.step(812, [PUSH], note) == {0: "9f at 812"}
    assert made.engine.stepped is made.engine.check_table
    assert made.perceive(813, note) == [SEEN]
    assert current == ["tick 812, with command 9f (push of entity 7)", "tick 813, in perceive"]
    assert made.calls.current is None


def test_a_call_that_does_not_return_is_stuck_until_it_returns(made: Calls) -> None:
    passed: list[bool] = []

    def last() -> None:
        assert not made.pass_seconds(STUCK_AFTER_SECONDS - 0.2)
        assert made.calls.state(made.now) is None
        assert made.pass_seconds(1.0), "within three seconds"
        assert made.calls.state(made.now) == SimulatorState(
            "a", SimulatorPhase.STUCK, 2.8, "tick 812, with command 9f (push of entity 7)"
        )
        passed.append(made.pass_seconds(60.0))

    with capture_logs() as logs:
        made.step(812, [PUSH], last)
        assert passed == [True]
        assert made.calls.state(made.now) is None
        assert not made.pass_seconds(0.1)
    assert [(entry["log_level"], entry["method"], entry["tick"]) for entry in logs] == [
        ("error", "step", 812), ("warning", "step", 812)
    ]  # fmt: skip
    assert logs[0]["commands"] == "with command 9f (push of entity 7)"


def test_many_short_calls_are_not_a_stuck_one(made: Calls) -> None:
    stuck: list[bool] = []
    for tick in range(50):
        made.step(tick, [], lambda: stuck.append(made.pass_seconds(0.3)))
    assert stuck == [False] * 50


def test_a_process_that_stood_still_has_no_stuck_call(made: Calls) -> None:
    states: list[SimulatorState | None] = []

    def stand_still() -> None:
        made.pass_seconds(0.2)
        made.now += 30.0
        assert not made.calls.observe(made.now)
        assert made.pass_seconds(STUCK_AFTER_SECONDS)
        states.append(made.calls.state(made.now))

    made.perceive(5, stand_still)
    assert [state and state.about for state in states] == ["tick 5, in perceive"]


def test_ticks_that_always_take_long_are_not_stuck(made: Calls) -> None:
    stuck: list[bool] = []
    made.step(1, [], lambda: stuck.append(made.pass_seconds(5.0)))
    made.step(2, [], lambda: stuck.extend([made.pass_seconds(8.0), made.pass_seconds(8.0)]))
    assert stuck == [True, False, True]


def test_a_call_that_raised_stays_the_current_one(made: Calls) -> None:
    def fail() -> None:
        raise EngineRaisedError("the simulator failed")

    with pytest.raises(EngineRaisedError, match="the simulator failed"):
        made.step(3, [PUSH], fail)
    assert made.calls.current is not None
    assert made.calls.current.phrase == "tick 3, with command 9f (push of entity 7)"
    made.calls.forget()
    assert made.calls.current is None


def test_a_call_that_fails_after_a_while_is_not_said_to_return(made: Calls) -> None:
    def hang() -> None:
        made.pass_seconds(STUCK_AFTER_SECONDS + 1.0)
        raise EngineHungError(STUCK_AFTER_SECONDS + 1.0)

    with capture_logs() as logs:
        with pytest.raises(EngineHungError):
            made.step(3, [PUSH], hang)
        made.calls.forget()
        made.pass_seconds(1.0)
    assert [entry["event"] for entry in logs] == ["the simulator does not return from a call"]


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


def test_commands_that_are_left_out_do_not_reach_the_simulator() -> None:
    made = Calls()
    commands = [Command(name, "push", 7) for name in "abcd"]
    rejected = made.calls.advance(made.engine.check_table, commands, 3, {"a", "c"})
    assert list(rejected.items()) == [(0, "skipped"), (1, "b at 3"), (2, "skipped"), (3, "d at 3")]
