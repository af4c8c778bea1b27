"""A member that ended and starts again: the first spare that turns up takes its place, unless the member is heard."""

from __future__ import annotations

import msgspec
import pytest

from pairsim.model.status import Role
from pairsim_controller.plan.area import decide
from pairsim_controller.plan.fleet_index import FleetIndex
from pairsim_controller.plan.view import Action, Assign, Kind, ObservedProcess, Report
from tests.unit.controller.builders import (
    NOW,
    assignment,
    dead,
    fleet_index,
    observe,
    pair,
    process,
    replica,
    spare,
    witness,
)

FIRST = assignment("sim-1", "sim-2", "witness-1")
NEXT = assignment("sim-1", "sim-3", "witness-1", generation=2, joins=("sim-3",))
ACTIVE, PASSIVE, WITNESS = pair(FIRST)
ALONE = process("sim-1", replica("sim-1", FIRST, Role.ACTIVE))


def started(seen: ObservedProcess, starts: int) -> ObservedProcess:
    return msgspec.structs.replace(seen, starts=starts)


def silent_start(starts: int) -> ObservedProcess:
    return started(process("sim-2", None), starts)


def decided(world: FleetIndex) -> tuple[Action, ...]:
    return decide(world.view("west", NOW + 0.5))


def killed(starts: int) -> tuple[FleetIndex, list[str]]:
    """An index after the passive ended and was started again, and the areas that it notifies."""
    notified: list[str] = []
    world = fleet_index(ALONE, PASSIVE, WITNESS, recorded=(FIRST,), touched=notified.append)
    observe(world, dead("sim-2"))
    observe(world, silent_start(starts))
    return world, notified


def test_a_spare_that_turns_up_while_a_member_starts_again_is_used_at_once() -> None:
    world, notified = killed(starts=1)
    (report,) = decided(world)
    assert isinstance(report, Report)
    assert report.message == "sim-2 is lost and no spare is available: it is being restarted with its data"
    world.await_capacity("west", [Kind.SIMULATOR])
    notified.clear()
    observe(world, spare("sim-3"))
    assert "west" in notified, "the arrival is an event"
    assert decided(world) == (Assign(NEXT, ("sim-3", "sim-1")),)


def test_a_restart_that_the_backend_shows_only_afterwards_counts() -> None:
    """On a busy machine a process is started again before anybody has seen that it ended."""
    world = fleet_index(ALONE, PASSIVE, WITNESS, spare("sim-3"), recorded=(FIRST,))
    observe(world, silent_start(starts=1))
    assert decided(world) == (Assign(NEXT, ("sim-3", "sim-1")),)


def test_a_last_status_that_comes_late_does_not_speak_for_the_new_process() -> None:
    world = fleet_index(ALONE, PASSIVE, WITNESS, spare("sim-3"), recorded=(FIRST,))
    world.set_process(silent_start(starts=1))
    world.on_status("sim-2", PASSIVE.status, NOW)
    assert decided(world) == ()
    world.on_status("sim-2", None, NOW)
    assert decided(world) == (Assign(NEXT, ("sim-3", "sim-1")),)


def test_a_member_that_is_heard_again_keeps_its_place() -> None:
    world, _ = killed(starts=1)
    observe(world, spare("sim-3"))
    back = process("sim-2", replica("sim-2", FIRST, Role.JOINING))
    observe(world, started(back, 1))
    assert decided(world) == ()
    observe(world, silent_start(starts=1))
    assert decided(world) == (), "a lost connection is no end"


def test_a_process_that_was_never_heard_is_only_silent() -> None:
    """Such as the members of a world that starts: each of them will come."""
    world = fleet_index(ALONE, silent_start(starts=4), WITNESS, spare("sim-3"), recorded=(FIRST,))
    assert decided(world) == ()
    observe(world, process("witness-1", witness("witness-1", FIRST)))
    assert decided(world) == ()


@pytest.mark.parametrize(
    ("starting", "seconds", "replaced"), [(False, 11.0, True), (True, 11.0, False), (True, 31.0, True)]
)
def test_a_member_that_has_just_been_started_has_the_time_to_load_its_code(
    *, starting: bool, seconds: float, replaced: bool
) -> None:
    """Otherwise each start of a world on a busy machine would replace members that are well."""
    member = msgspec.structs.replace(process("sim-2", None, silent_seconds=seconds), starting=starting)
    world = fleet_index(ALONE, WITNESS, spare("sim-3"), recorded=(FIRST,))
    seen = world.view("west", NOW)
    seen = msgspec.structs.replace(seen, processes={**seen.processes, "sim-2": member})
    assert (Assign(NEXT, ("sim-3", "sim-1")) in decide(seen)) is replaced
