"""A replica that runs and makes no progress is replaced, if another one may do better."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from pairsim.model.assignment import Assignment
from pairsim.model.status import ReplicaStatus, Role, SimulatorPhase, SimulatorState
from pairsim_controller.plan.area import decide
from pairsim_controller.plan.fleet_index import FleetIndex
from pairsim_controller.plan.progress import STALLED_AFTER_SECONDS
from pairsim_controller.plan.view import Action, Assign, Kind, Release, Report
from tests.unit.controller.builders import (
    NOW,
    assignment,
    fleet_index,
    member,
    observe,
    pair,
    process,
    replica,
    spare,
    without_joins,
)

FIRST = assignment("sim-1", "sim-2", "witness-1")
NEXT = assignment("sim-1", "sim-3", "witness-1", generation=2, joins=("sim-3",))
OTHER = assignment("sim-1", "sim-4", "witness-1", generation=2, joins=("sim-4",))
ACTIVE, PASSIVE, WITNESS = pair(FIRST)
SECONDS = int(STALLED_AFTER_SECONDS) + 1

Change = Callable[[ReplicaStatus, int], ReplicaStatus]


def ticks(status: ReplicaStatus, second: int) -> ReplicaStatus:
    return msgspec.structs.replace(status, tick=20 * second, synced_tick=20 * second)


def stays(status: ReplicaStatus, _second: int) -> ReplicaStatus:
    return msgspec.structs.replace(status)


def lasts(world: FleetIndex, seconds: int = SECONDS, begin: int = 0, **changes: Change) -> float:
    """Lets processes report once a second; the active ticks unless `changes` say otherwise. Returns the time then."""
    for second in range(begin, begin + seconds + 1):
        for key, change in {"sim_1": ticks, **changes}.items():
            name = key.replace("_", "-")
            status = world.view("west", NOW).processes.get(name, spare(name)).replica
            assert status is not None
            world.on_status(name, change(status, second), NOW + second)
    return NOW + begin + seconds


def joining(of: Assignment, name: str, **more: object) -> ReplicaStatus:
    return msgspec.structs.replace(replica(name, of, Role.JOINING, tick=0), **more)


def actions(world: FleetIndex, now: float) -> list[Action]:
    return list(decide(world.view("west", now)))


def test_a_passive_that_makes_no_progress_is_replaced_by_a_spare() -> None:
    world = fleet_index(ACTIVE, PASSIVE, WITNESS, spare("sim-3"), recorded=(FIRST,))
    assert actions(world, lasts(world, SECONDS - 2, sim_2=stays)) == []
    (only,) = actions(world, lasts(world, 2, SECONDS - 2, sim_2=stays))
    assert isinstance(only, Assign)
    assert (only.assignment, only.targets) == (NEXT, ("sim-3", "sim-1"))
    assert only.stall is not None
    assert only.stall.replica == "sim-2"
    assert only.stall.message == f"sim-2 runs, but has made no progress for {SECONDS} s"


def test_a_passive_that_keeps_up_is_left_alone() -> None:
    world = fleet_index(ACTIVE, PASSIVE, WITNESS, spare("sim-3"), recorded=(FIRST,))
    assert actions(world, lasts(world, 3 * SECONDS, sim_2=ticks)) == []


def test_a_slow_transfer_is_left_alone() -> None:
    world = fleet_index(ACTIVE, PASSIVE, WITNESS, spare("sim-3"), recorded=(FIRST,))

    def receives(status: ReplicaStatus, second: int) -> ReplicaStatus:
        return msgspec.structs.replace(status, role=Role.JOINING, received_bytes=4_096 * second)

    assert actions(world, lasts(world, 5 * SECONDS, sim_2=receives)) == []


def test_nothing_is_replaced_while_the_active_does_not_tick_and_just_after() -> None:
    world = fleet_index(ACTIVE, PASSIVE, WITNESS, spare("sim-3"), recorded=(FIRST,))
    assert actions(world, lasts(world, 2 * SECONDS, sim_1=stays, sim_2=stays)) == []
    assert actions(world, lasts(world, SECONDS - 2, 2 * SECONDS, sim_2=stays)) == []


@pytest.mark.parametrize("phase", SimulatorPhase)
def test_a_problem_of_the_simulator_is_no_reason(phase: SimulatorPhase) -> None:
    """A spare would have the same problem."""
    state = SimulatorState("west", phase, 99.0, "step")
    world = fleet_index(ACTIVE, PASSIVE, WITNESS, spare("sim-3"), recorded=(FIRST,))
    now = lasts(world, 2 * SECONDS, sim_2=lambda status, _second: msgspec.structs.replace(status, simulator=state))
    assert not [a for a in actions(world, now) if not isinstance(a, Report)]


def test_another_problem_is_reported_and_the_replica_is_replaced() -> None:
    """The secret of the spare may be the right one."""
    world = fleet_index(ACTIVE, PASSIVE, WITNESS, spare("sim-3"), recorded=(FIRST,))
    problem = "sim-1 has another secret"
    now = lasts(world, sim_2=lambda status, _second: msgspec.structs.replace(status, problem=problem))
    report, assigned = actions(world, now)
    assert report == Report("west", f"sim-2: {problem}")
    assert isinstance(assigned, Assign)
    assert assigned.assignment == NEXT


def test_nothing_is_replaced_without_a_witness_that_confirms_the_active() -> None:
    world = fleet_index(ACTIVE, PASSIVE, WITNESS, spare("sim-3"), recorded=(FIRST,))
    now = lasts(world, sim_2=stays)
    observe(world, process("witness-1", None, silent_seconds=1.0), now)
    assert actions(world, now) == []


def test_nothing_is_replaced_while_the_simulator_of_the_active_is_stuck() -> None:
    world = fleet_index(ACTIVE, PASSIVE, WITNESS, spare("sim-3"), recorded=(FIRST,))
    now = lasts(world, sim_2=stays)
    assert ACTIVE.replica is not None
    stuck = SimulatorState("west", SimulatorPhase.STUCK, 3.0, "step")
    world.on_status("sim-1", msgspec.structs.replace(ACTIVE.replica, tick=9999, simulator=stuck), now)
    assert not [a for a in actions(world, now) if isinstance(a, Assign)]


def test_without_a_spare_it_is_reported() -> None:
    world = fleet_index(ACTIVE, PASSIVE, WITNESS, recorded=(FIRST,))
    assert actions(world, lasts(world, sim_2=stays)) == [
        Report("west", "sim-2 runs, but makes no progress, and no spare is available: add a simulator", Kind.SIMULATOR)
    ]


def test_a_newcomer_that_makes_no_progress_gives_its_place_to_another_spare() -> None:
    newcomer = process("sim-3", joining(NEXT, "sim-3"))
    world = fleet_index(ACTIVE, PASSIVE, WITNESS, newcomer, spare("sim-4"), recorded=(NEXT,))
    assert actions(world, NOW) == [Assign(NEXT, ("sim-3", "sim-1"))]
    (assigned,) = actions(world, lasts(world, sim_2=ticks, sim_3=stays))
    assert isinstance(assigned, Assign)
    assert assigned.assignment == OTHER
    assert assigned.stall is not None
    assert assigned.stall.message == f"sim-3 runs, but has made no progress for {SECONDS} s"
    world.set_record("west", assigned.assignment)
    assert Release("sim-3", "west") in actions(world, NOW + SECONDS)


def test_a_newcomer_that_does_not_even_join_gives_its_place_to_another_spare() -> None:
    """A spare is not judged by the time before it was promised."""
    world = fleet_index(ACTIVE, PASSIVE, WITNESS, spare("sim-3"), spare("sim-4"), recorded=(FIRST,))
    lasts(world, sim_2=ticks, sim_3=stays)
    world.set_record("west", NEXT)
    now = lasts(world, SECONDS - 2, SECONDS, sim_2=ticks, sim_3=stays)
    assert actions(world, now) == [Assign(NEXT, ("sim-3", "sim-1"))]
    (assigned,) = actions(world, lasts(world, 2, 2 * SECONDS - 2, sim_2=ticks, sim_3=stays))
    assert isinstance(assigned, Assign)
    assert assigned.assignment == OTHER
    assert assigned.stall is not None
    assert assigned.stall.message == f"sim-3 runs, but has not joined for {SECONDS} s"


def test_the_next_replacement_waits() -> None:
    """The newcomer that replaced one without progress makes none, either."""
    world = fleet_index(ACTIVE, PASSIVE, WITNESS, spare("sim-3"), spare("sim-4"), recorded=(FIRST,))
    now = lasts(world, sim_2=stays)
    (first,) = actions(world, now)
    assert isinstance(first, Assign)
    assert first.stall is not None
    world.set_record("west", first.assignment)
    world.on_stall("west", first.stall, now)
    waits = int(2 * STALLED_AFTER_SECONDS) - 1
    now = lasts(world, waits, SECONDS, sim_2=stays, sim_3=stays)
    assert actions(world, now) == [Assign(NEXT, ("sim-3", "sim-1"))]
    (second,) = actions(world, lasts(world, 1, SECONDS + waits, sim_2=stays, sim_3=stays))
    assert isinstance(second, Assign)
    assert second.assignment == OTHER


def test_a_member_whose_replacement_waits_is_reported() -> None:
    world = fleet_index(ACTIVE, PASSIVE, WITNESS, spare("sim-3"), recorded=(FIRST,))
    now = lasts(world, sim_2=stays)
    (first,) = actions(world, now)
    assert isinstance(first, Assign)
    assert first.stall is not None
    world.on_stall("west", first.stall, now)
    (only,) = actions(world, now + 1)
    assert isinstance(only, Report)
    assert only.message.startswith("sim-2 runs, but makes no progress: it is replaced later")


def test_a_process_that_was_replaced_for_this_is_the_last_choice_until_it_is_restarted() -> None:
    world = fleet_index(ACTIVE, PASSIVE, WITNESS, spare("sim-3"), recorded=(FIRST,))
    now = lasts(world, sim_2=stays)
    (first,) = actions(world, now)
    assert isinstance(first, Assign)
    assert first.stall is not None
    world.on_stall("west", first.stall, now)
    second = without_joins(NEXT)
    active, passive, witness = pair(second)
    world.set_record("west", second)
    for seen in (active, witness, spare("sim-2"), spare("sim-4")):
        observe(world, seen, now)
    observe(world, process("sim-3", None, alive=False, silent_seconds=1.0), now)
    (lost,) = actions(world, now)
    assert isinstance(lost, Assign)
    assert lost.assignment.replicas[1] == member("sim-4")
    world.on_status("sim-2", msgspec.structs.replace(replica("sim-2"), started_at=7.0), now)
    (lost,) = actions(world, now)
    assert isinstance(lost, Assign)
    assert lost.assignment.replicas[1] == member("sim-2")
    assert passive.name == "sim-3"


def test_each_status_of_a_replica_without_progress_is_a_reason_for_a_round() -> None:
    """In a cluster nothing else might bring the area another round."""
    touched: list[str] = []
    world = fleet_index(ACTIVE, PASSIVE, WITNESS, spare("sim-3"), recorded=(FIRST,), touched=touched.append)
    lasts(world, SECONDS - 2, sim_1=stays, sim_2=stays)
    touched.clear()
    lasts(world, 2, SECONDS - 2, sim_2=stays, sim_3=stays)
    assert set(touched) == {"west"}
    world = fleet_index(ACTIVE, PASSIVE, WITNESS, spare("sim-3"), recorded=(FIRST,), touched=touched.append)
    lasts(world, 3 * SECONDS, sim_2=ticks)
    touched.clear()
    lasts(world, 1, 3 * SECONDS + 1, sim_2=ticks, sim_3=stays)
    assert not touched, "a spare has nothing to make progress with"
