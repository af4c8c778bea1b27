"""The invariants of `decide` and `plan_labels`, in worlds with random faults."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from pairsim.model.assignment import Assignment
from pairsim.model.status import Role
from pairsim_controller.plan.facts import LOST_AFTER_SECONDS
from pairsim_controller.plan.progress import STALLED_AFTER_SECONDS
from pairsim_controller.plan.view import (
    Action,
    AdoptReported,
    Assign,
    DropRecord,
    Label,
    Release,
    Report,
    ResendAssignment,
    SetLabel,
    Switchover,
)
from tests.unit.controller.model_world import ModelWorld

AREAS = ("west", "east")
SIMULATORS = 6
NAMES = (*(f"sim-{n}" for n in range(1, SIMULATORS + 1)), "witness-1", "witness-2")
FAULTS = ("kill", "restart", "hide", "show", "empty", "leave", "stick", "unstick", "nothing")

events = st.lists(st.tuples(st.sampled_from(FAULTS), st.sampled_from(NAMES), st.integers(1, 6)), max_size=25)


def fault(world: ModelWorld, kind: str, name: str) -> None:
    """Injects a fault. No area loses the folders of two members: no controller could repair that."""
    if kind == "empty":
        lacking = {
            n for t in world.truth.values() for m in t.force.members()
            if t.force.spec.area not in world.nodes[n := m.replica].able
        }  # fmt: skip
        mates = {
            m.replica for t in world.truth.values() if t.force.member(name) for m in t.force.members()
        }  # fmt: skip
        if lacking & mates - {name} or not world.truth or world.nodes[name].has.keys() - world.truth.keys():
            return
    if kind != "nothing":
        getattr(world, kind)(name)


def newcomers_of(assignment: Assignment) -> list[str]:
    """Returns the simulators that an assignment takes from the spares."""
    first = assignment.generation == 1
    return [m.replica for m in assignment.replicas if first or m.replica in assignment.joins]


def no_guess(world: ModelWorld, old: Assignment, new: Assignment) -> None:
    """Checks that a replaced member does not run, leaves, makes no progress, or was silent for long.

    In the last two cases the other two answer.
    """
    stays = [m.replica for m in new.members() if old.member(m.replica)]
    for name in (m.replica for m in old.members() if new.member(m.replica) is None):
        process = world.seen[name]
        if process.alive and not process.terminating:
            stalled = world.nodes[name].stuck_seconds >= STALLED_AFTER_SECONDS
            assert stalled or process.silent_seconds > LOST_AFTER_SECONDS
            assert all(world.seen[other].status for other in stays)


def watch(world: ModelWorld) -> tuple[Action | SetLabel, ...]:
    """Runs one turn and checks all invariants."""
    truths = {area: truth.force for area, truth in world.truth.items()}
    recorded = dict(world.recorded)
    seen: list[Action | SetLabel] = []
    for view, action in world.turn():
        match action:
            case Assign():
                assigned(world, action.assignment, recorded, truths)
            case Release() if action.area in world.areas:
                assert action.area not in truths or truths[action.area].member(action.target) is None, (
                    "no member of what is in force is made to leave"
                )
            case Switchover():
                assert world.seen[action.target].terminating
            case SetLabel():
                labelled(world, action.label)
        if isinstance(action, Assign | AdoptReported):
            recorded[action.assignment.spec.area] = action.assignment
        if view is not None and isinstance(action, Assign | AdoptReported | Release | Switchover | DropRecord):
            assert view.area == (
                action.assignment.spec.area if isinstance(action, Assign | AdoptReported) else action.area
            )
        seen.append(action)
    assert len(world.begun) == len(set(world.begun)), "an area began twice"
    return tuple(seen)


def assigned(
    world: ModelWorld, new: Assignment, recorded: dict[str, Assignment], truths: dict[str, Assignment]
) -> None:
    area = new.spec.area
    for name in newcomers_of(new):
        promised = [a for other, a in recorded.items() if other != area and a.member(name)]
        assert not promised, "a spare is promised to one area"
        assert not world.seen[name].terminating, "who leaves becomes no member"
    if new.generation == 1:
        assert area not in recorded, "an area is founded once"
        assert area not in truths
        return
    if recorded[area] != new:
        no_guess(world, recorded[area], new)
    force = world.truth[area].force
    old = truths[area] if force == new else force
    changed = {m.replica for m in new.members()} ^ {m.replica for m in old.members()}
    if new.generation == old.generation + 1:
        assert len(changed) == 2, "members change by one at a time"


def labelled(world: ModelWorld, label: Label) -> None:
    actives = Counter(label.area for label in world.labels.values() if label.role is Role.ACTIVE)
    assert all(count == 1 for count in actives.values()), "two actives of an area"
    if label.role is Role.ACTIVE:
        assert label.term >= world.highest.get(label.area, 0), "a lower term took the label"
        world.highest[label.area] = label.term
        others = [x.term for x in world.labels.values() if x.area == label.area and x is not label]
        assert all(term >= label.term for term in others), "somebody could still be promoted in an older term"


def whole(world: ModelWorld) -> bool:
    for area in world.areas:
        truth = world.truth.get(area)
        if truth is None or truth.active is None or world.recorded.get(area) is None:
            return False
        members = {m.replica for m in truth.force.members()}
        holders = {n.name for n in world.nodes.values() if n.alive and area in n.has}
        recorded = {m.replica for m in world.recorded[area].members()}
        able = {n for n in holders if area in world.nodes[n].able}
        if not members == holders == recorded == able:
            return False
    return True


@settings(max_examples=300, deadline=None)
@given(events)
def test_no_fault_breaks_an_invariant_and_the_world_recovers(
    happened: list[tuple[str, str, int]],
) -> None:
    world = ModelWorld(SIMULATORS, 2, AREAS)
    for kind, name, turns in happened:
        fault(world, kind, name)
        for _ in range(turns):
            watch(world)
    for name in NAMES:
        world.restart(name)
        world.show(name)
        world.unstick(name)
    for _ in range(40):
        watch(world)
    assert whole(world), [
        a
        for a in watch(world)
        if isinstance(a, Report | Assign | AdoptReported | Release | ResendAssignment | DropRecord)
    ]
    assert not [a for a in watch(world) if not isinstance(a, Report)], "a whole world is left alone"


@settings(max_examples=100, deadline=None)
@given(events)
def test_a_replica_that_never_comes_back_is_replaced(happened: list[tuple[str, str, int]]) -> None:
    world = ModelWorld(SIMULATORS, 2, AREAS)
    for _ in range(6):
        watch(world)
    assert whole(world)
    for kind, name, turns in happened:
        if kind in {"hide", "show"}:
            fault(world, kind, name)
        for _ in range(turns):
            watch(world)
    for name in NAMES:
        world.show(name)
    for _ in range(40):
        watch(world)
    victim = world.truth["west"].active
    assert victim is not None
    world.kill(victim)
    for _ in range(20):
        watch(world)
    assert world.truth["west"].force.member(victim) is None
    assert whole(world)


@settings(max_examples=100, deadline=None)
@given(st.sets(st.sampled_from(NAMES)), st.integers(0, 60))
def test_an_area_without_reachable_members_is_left_alone(others: set[str], turns: int) -> None:
    world = ModelWorld(SIMULATORS, 2, AREAS)
    for _ in range(6):
        watch(world)
    for m in world.truth["west"].force.members():
        world.hide(m.replica)
    for name in others - {m.replica for t in world.truth.values() for m in t.force.members()}:
        world.kill(name)
    for _ in range(turns):
        about = [a for a in watch(world) if getattr(a, "area", "") == "west" or getattr(a, "assignment", None)]
        assert all(isinstance(a, Report) for a in about if not hasattr(a, "assignment"))
        assert all(
            a.assignment.spec.area != "west" for a in about if isinstance(a, Assign | ResendAssignment | AdoptReported)
        )


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), max_size=2, unique=True))
def test_leaving_members_are_replaced_and_every_area_stays_complete(first: str, others: list[str]) -> None:
    world = ModelWorld(SIMULATORS + 1, 3, AREAS)
    for _ in range(6):
        watch(world)
    gone = {first, *others}
    if len(gone & {"witness-1", "witness-2", "witness-3"}) == 3:
        return
    for name in gone:
        world.leave(name)
    for _ in range(30):
        watch(world)
        for area, truth in world.truth.items():
            able = [m.replica for m in truth.force.members() if area in world.nodes[m.replica].able]
            assert len(able) == 3, "a member that leaves stays until another one can take over"
    assert whole(world)
    for truth in world.truth.values():
        assert not gone & {m.replica for m in truth.force.members()}


STALLED_TURNS = int(STALLED_AFTER_SECONDS / (LOST_AFTER_SECONDS / 4))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(("stick", "unstick")), st.sampled_from(NAMES[:-2]), st.integers(1, 40))))
def test_replicas_without_progress_are_replaced_one_at_a_time_and_no_others(
    happened: list[tuple[str, str, int]],
) -> None:
    """`watch` checks each replacement."""
    world = ModelWorld(SIMULATORS, 2, AREAS)
    for _ in range(6):
        watch(world)
    for kind, name, turns in happened:
        fault(world, kind, name)
        for _ in range(turns):
            watch(world)
    for name in NAMES:
        world.unstick(name)
    for _ in range(40):
        watch(world)
    assert whole(world)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 30))
def test_a_passive_without_progress_is_replaced_by_a_spare_and_becomes_one(turns: int) -> None:
    world = ModelWorld(SIMULATORS, 2, AREAS)
    for _ in range(6 + turns):
        watch(world)
    active = world.truth["west"].active
    passive = next(m.replica for m in world.truth["west"].force.replicas if m.replica != active)
    world.stick(passive)
    for _ in range(STALLED_TURNS - 1):
        assert not [a for a in watch(world) if isinstance(a, Assign)]
    for _ in range(8):
        watch(world)
    assert world.truth["west"].active == active
    assert world.truth["west"].force.member(passive) is None
    assert not world.nodes[passive].has
    assert whole(world)


def test_replacements_that_do_not_help_become_rare() -> None:
    world = ModelWorld(SIMULATORS, 2, ("west",))
    for _ in range(6):
        watch(world)
    for name in NAMES[:-2]:
        if name != world.truth["west"].active:
            world.stick(name)
    replaced_at = []
    before = world.recorded["west"]
    for turn in range(40 * STALLED_TURNS):
        watch(world)
        if world.recorded["west"].replicas != before.replicas:
            before = world.recorded["west"]
            replaced_at.append(turn)
    pauses = [later - earlier for earlier, later in pairwise(replaced_at)]
    assert len(pauses) >= 3
    assert all(later >= 2 * earlier - 1 for earlier, later in pairwise(pauses))


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(AREAS))
def test_no_replica_is_replaced_while_the_active_makes_no_progress(area: str) -> None:
    world = ModelWorld(SIMULATORS, 2, AREAS)
    for _ in range(6):
        watch(world)
    active = world.truth[area].active
    assert active is not None
    world.stick(active)
    for _ in range(3 * STALLED_TURNS):
        assert not [a for a in watch(world) if isinstance(a, Assign)]
    world.unstick(active)
    for _ in range(STALLED_TURNS):
        assert not [a for a in watch(world) if isinstance(a, Assign)]
