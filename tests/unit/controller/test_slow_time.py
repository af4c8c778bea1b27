"""A slow area is reported to its user with the numbers that explain it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

from pairsim.model.status import ReplicaStatus, Role, SimulatorPhase, SimulatorState
from pairsim_controller.kube.api.objects import AreaStatus
from pairsim_controller.kube.status.conditions import area_status
from pairsim_controller.kube.status.status_events import events_between
from pairsim_controller.plan.area import decide
from pairsim_controller.plan.fleet_index import DesiredArea, FleetIndex
from pairsim_controller.plan.slow_time import slow_message
from pairsim_controller.plan.view import Action, ObservedProcess, Report
from pairsim_controller.reconcile.warning_debouncer import REPEAT_SECONDS, WarningDebouncer
from pairsim_controller.reconcile.world_status import status_of_view
from tests.unit.controller.builders import (
    NOW,
    assignment,
    dead,
    fleet_index,
    observe,
    pair,
    process,
    replica,
    spec,
    view,
)
from tests.unit.controller.local_worlds import local_world, until

FIRST = assignment("sim-1", "sim-2", "witness-1")
ACTIVE, PASSIVE, WITNESS = pair(FIRST)
SENTENCE = "ticks take 121 ms, there are 50 ms for each: time runs at 0.41 of its rate"
OTHERWISE = "of the 50 ms that there are for each: its commits come late, or its machine is busy"


def status(pace: float, tick_ms: float = 121.0) -> ReplicaStatus:
    whole = replica("sim-1", FIRST, Role.ACTIVE, peer_in_sync=True)
    return msgspec.structs.replace(whole, pace=pace, tick_ms=tick_ms)


def slow(pace: float = 0.41) -> ObservedProcess:
    return process("sim-1", status(pace))


@pytest.mark.parametrize(
    ("pace", "tick_ms", "sentence"),
    [
        (1.0, 49.0, ""),
        (0.95, 51.0, ""),
        (0.41, 121.0, SENTENCE),
        (0.004, 12345.6, "ticks take 12346 ms, there are 50 ms for each: time runs at 0.004 of its rate"),
        (
            0.5,
            0.24,
            f"time runs at 0.5 of its rate, though ticks take 0.24 ms {OTHERWISE}",
        ),
        (
            0.0,
            3.0,
            f"time stands still, though ticks take 3 ms {OTHERWISE}",
        ),
    ],
)
def test_the_message_about_a_slow_area(pace: float, tick_ms: float, sentence: str) -> None:
    assert slow_message(spec(), status(pace, tick_ms)) == sentence


def test_a_slow_area_is_only_reported() -> None:
    actions = decide(view(slow(), PASSIVE, WITNESS, recorded=(FIRST,)))
    assert actions == (Report("west", SENTENCE, reason="Slow"),)


def test_becoming_slow_notifies_and_other_numbers_do_not() -> None:
    touched: list[str] = []
    world: FleetIndex = fleet_index(ACTIVE, PASSIVE, WITNESS, recorded=(FIRST,), touched=touched.append)
    for pace, looks in ((0.97, set()), (0.8, {"west"}), (0.4, set()), (1.0, {"west"})):
        touched.clear()
        observe(world, slow(pace), NOW)
        assert set(touched) == looks, pace


def test_changing_numbers_do_not_repeat_a_warning() -> None:
    complaints, told = WarningDebouncer(0.0), []
    for second in range(200):
        # The number crosses its bound every ten seconds.
        said = [] if second // 10 % 2 else [Report("west", f"{second} ms", reason="Slow"), Report("east", "lost")]
        told += complaints.new_warnings(said, float(second))
        assert {say.area for say in complaints.active} <= {say.area for say in said}
        assert all(say in told for say in complaints.active), "in the words that it was told in"
    slow_at = [int(say.message.split()[0]) for say in told if say.reason]
    assert all(later - earlier >= REPEAT_SECONDS for earlier, later in itertools.pairwise(slow_at))
    assert len(slow_at) == 3
    assert len([say for say in told if not say.reason]) == 10


def test_a_slow_area_in_a_cluster_has_a_condition_and_an_event() -> None:
    said = [Report("west", SENTENCE, reason="Slow")]

    def written(*processes: ObservedProcess, also: tuple[Report, ...] = ()) -> AreaStatus:
        seen = view(*processes, recorded=(FIRST,))
        return area_status(seen, AreaStatus(), warnings=[*said, *also], last=None, generation=1, wall=0.0)

    def degraded(found: AreaStatus) -> tuple[str, str, str]:
        condition = found.condition("Degraded")
        assert condition is not None
        return condition.status, condition.reason, condition.message

    found = written(slow(), PASSIVE, WITNESS)
    assert degraded(found) == ("True", "Slow", SENTENCE)
    whole = area_status(
        view(ACTIVE, PASSIVE, WITNESS, recorded=(FIRST,)), AreaStatus(), warnings=[], last=None, generation=1, wall=0.0
    )
    assert [(story.reason, story.note, story.warning) for story in events_between(whole, found)] == [
        ("Slow", SENTENCE, True)
    ]
    alone = process("sim-1", msgspec.structs.replace(status(0.41), peer_in_sync=False))
    assert degraded(written(alone, dead("sim-2"), WITNESS))[1] == "Repairing", "a lost member is worse"
    waits = written(alone, dead("sim-2"), WITNESS, also=(Report("west", "no spare"),))
    assert degraded(waits) == ("True", "Waiting", "no spare")


async def test_a_local_world_announces_a_slow_area_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pairsim_controller.reconcile.warning_debouncer.REPORT_AFTER_SECONDS", 0.0)
    async with local_world(tmp_path) as made:
        await until(lambda: made.announced)
        made.world._reports.warnings._start_at = 0.0
        for pace in (0.41, 0.42, 0.43):
            made.replicas["a"].pace = pace
            made.replicas["a"].notify(None)
            await until(
                lambda pace=pace: (seen := made.world.watchers["a"].status) is not None and seen.pace == pace  # type: ignore[union-attr, misc]
            )
            await until(lambda: any(" of its rate" in sentence for sentence in made.announced))
        assert [sentence for sentence in made.announced if "rate" in sentence] == [f"north: {SENTENCE}"]


@pytest.mark.parametrize(
    ("commands", "command", "advice"),
    [
        (0, "", ""),
        (1, "c1", ", or leave the command out: pairsim skip west c1"),
        (3, "", ", or leave a command out: pairsim skip west lists all 3"),
    ],
)
def test_the_advice_about_a_pause_depends_on_the_commands_of_the_tick(commands: int, command: str, advice: str) -> None:
    paused = SimulatorState(
        "west", SimulatorPhase.PAUSED, 1.0, "KeyError in tick 8", tick=8, commands=commands, command=command
    )
    message = slow_message(spec(), msgspec.structs.replace(status(0.0), simulator=paused))
    still = "time stands still: sim-1 is paused before a tick that fails, and tries it again: KeyError in tick 8"
    assert message == f"{still}; mend the simulator (pairsim engines restart west tries it at once){advice}"


def test_the_advice_about_a_pause_names_the_port_of_the_world() -> None:
    paused = SimulatorState("west", SimulatorPhase.PAUSED, 1.0, "KeyError", tick=8, commands=1, command="c1")
    active = process("sim-1", msgspec.structs.replace(status(0.0), simulator=paused))
    index = fleet_index(active, PASSIVE, WITNESS, recorded=(FIRST,))
    index.set_desired("west", DesiredArea(spec(), command_options=" --port 8081"))
    seen = index.view("west", NOW)
    (report,) = _reports(decide(seen))
    assert "pairsim engines restart west --port 8081 tries it at once" in report.message
    assert report.message.endswith("pairsim skip west c1 --port 8081")
    shown = status_of_view(seen, NOW)
    assert shown is not None
    assert shown.slow == report.message


def test_other_code_is_reported_with_the_order_that_puts_it_into_force() -> None:
    state = SimulatorState("west", SimulatorPhase.OTHER_CODE, 0.0)
    code = "computes nothing: its simulator's code is not the one with which west is computed"
    order = "pairsim engines restart west --port 8081 puts that code into force"
    passive = process("sim-2", msgspec.structs.replace(replica("sim-2", FIRST, Role.PASSIVE), simulator=state))
    for members, sentence in (
        ((slow(), passive), f"sim-2 {code}; {order}"),
        ((process("sim-1", msgspec.structs.replace(status(0.0), simulator=state)), PASSIVE), f"sim-1 {code}; {order}"),
    ):
        index = fleet_index(*members, WITNESS, recorded=(FIRST,))
        index.set_desired("west", DesiredArea(spec(), command_options=" --port 8081"))
        seen = index.view("west", NOW)
        shown = status_of_view(seen, NOW)
        assert shown is not None
        assert sentence in {shown.missing, shown.slow.removeprefix("time stands still: ")}
        assert sentence in {report.message.removeprefix("time stands still: ") for report in _reports(decide(seen))}


def test_a_pause_of_another_cause_is_reported_at_once() -> None:
    warnings, told = WarningDebouncer(0.0), []
    first = SimulatorState("west", SimulatorPhase.PAUSED, 1.0, "KeyError after 2.0 s", tick=8, commands=1, command="a")
    again = msgspec.structs.replace(first, about="KeyError after 2.1 s")
    later = msgspec.structs.replace(first, tick=9, command="b")
    for second, state in enumerate((first, first, again, None, later, later, later)):
        active = ACTIVE if state is None else process("sim-1", msgspec.structs.replace(status(0.0), simulator=state))
        actions = decide(view(active, PASSIVE, WITNESS, recorded=(FIRST,)))
        told += [(second, one.cause) for one in warnings.new_warnings(_reports(actions), float(second))]
    assert told == [(1, "tick 8 with a"), (5, "tick 9 with b")]


def _reports(actions: Iterable[Action]) -> list[Report]:
    return [action for action in actions if isinstance(action, Report)]
