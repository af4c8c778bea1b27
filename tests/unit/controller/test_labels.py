"""The label changes between two states, step by step."""

from __future__ import annotations

import itertools

from pairsim.model.status import Role
from pairsim_controller.plan.fleet_index import FleetIndex
from pairsim_controller.plan.labels import plan_labels
from pairsim_controller.plan.view import Label
from tests.unit.controller.builders import NOW, assignment, fleet_index, pair, process, replica, silent, spare

FIRST = assignment("sim-1", "sim-2", "witness-1")
EAST = assignment("sim-1", "sim-5", "witness-1", area="east")
WITNESS = pair(FIRST)[2]


def steps(world: FleetIndex) -> list[dict[str, Label]]:
    """Returns the labels after every single change, until no change remains."""
    found = []
    while changes := [
        *plan_labels(world.view("west", NOW)),
        *world.missing_spare_labels(),
    ]:
        assert len(found) < 10, "labels go to and fro"
        for change in changes:
            world.set_label(change.replica, change.label)
            found.append(world.labels())
    return found


def active(name: str, term: int) -> Label:
    return Label("west", Role.ACTIVE, term)


def test_no_step_shows_two_actives() -> None:
    roles = (Role.ACTIVE, Role.PASSIVE, Role.JOINING)
    for old, new, terms in itertools.product(
        itertools.product(roles, repeat=2), itertools.product(roles, repeat=2), ((1, 2), (2, 1))
    ):
        if old == (Role.ACTIVE, Role.ACTIVE):
            continue
        names = ("sim-1", "sim-2")
        now = [process(n, replica(n, FIRST, role, term=term)) for n, role, term in zip(names, new, terms, strict=True)]
        before = {n: Label("west", role, 1) for n, role in zip(names, old, strict=True)}
        for labels in steps(fleet_index(*now, WITNESS, recorded=(FIRST,), labels=before)):
            assert sum(label.role is Role.ACTIVE for label in labels.values()) <= 1


def test_a_pair_and_a_spare_are_labelled_by_role() -> None:
    final = steps(fleet_index(*pair(FIRST), spare("sim-3"), recorded=(FIRST,)))[-1]
    assert final == {
        "sim-1": active("sim-1", 1),
        "sim-2": Label("west", Role.PASSIVE, 1),
        "sim-3": Label("", Role.SPARE, 0),
    }


def test_a_lower_term_never_takes_the_label() -> None:
    stale = process("sim-1", replica("sim-1", FIRST, Role.ACTIVE, term=3))
    seen = fleet_index(stale, silent("sim-2", 1), WITNESS, recorded=(FIRST,), labels={"sim-2": active("sim-2", 5)})
    assert steps(seen)[-1]["sim-1"].role is Role.PASSIVE


def test_a_lower_term_does_not_get_the_label_after_a_higher_one_lost_it() -> None:
    stale = process("sim-1", replica("sim-1", FIRST, Role.ACTIVE, term=3))
    later = process("sim-2", replica("sim-2", FIRST, Role.PASSIVE, term=5))
    before = {"sim-1": Label("west", Role.PASSIVE, 3), "sim-2": Label("west", Role.PASSIVE, 5)}
    assert steps(fleet_index(stale, later, WITNESS, recorded=(FIRST,), labels=before)) == []
    assert steps(fleet_index(stale, silent("sim-2", 1), WITNESS, recorded=(FIRST,), labels=before)) == []


def test_an_unreachable_active_loses_the_label_to_a_higher_term() -> None:
    newer = process("sim-1", replica("sim-1", FIRST, Role.ACTIVE, term=6))
    seen = fleet_index(newer, silent("sim-2", 1), WITNESS, recorded=(FIRST,), labels={"sim-2": active("sim-2", 5)})
    found = steps(seen)
    assert [step.get("sim-1") for step in found] == [None, active("sim-1", 6)], "demoted first"
    assert [step["sim-2"] for step in found] == [Label("west", Role.PASSIVE, 6)] * 2


def test_an_unreachable_active_keeps_the_label_while_no_other_replica_is_active() -> None:
    passive = process("sim-1", replica("sim-1", FIRST, Role.PASSIVE, term=5))
    before = {"sim-1": Label("west", Role.PASSIVE, 5), "sim-2": active("sim-2", 5)}
    assert steps(fleet_index(passive, silent("sim-2", 1), WITNESS, recorded=(FIRST,), labels=before)) == []


def test_all_other_replicas_are_written_to_before_a_promotion() -> None:
    """So the late promotion of a controller that was stopped in an older term is refused."""
    newer = process("sim-1", replica("sim-1", FIRST, Role.ACTIVE, term=6))
    before = {"sim-1": active("sim-1", 5), "sim-2": Label("west", Role.PASSIVE, 5)}
    found = steps(fleet_index(newer, silent("sim-2", 1), WITNESS, recorded=(FIRST,), labels=before))
    assert [(step["sim-2"].term, step["sim-1"].term) for step in found] == [(6, 5), (6, 6)]
    unlabelled = steps(fleet_index(newer, silent("sim-2", 1), WITNESS, recorded=(FIRST,)))
    assert [sorted(step) for step in unlabelled] == [["sim-2"], ["sim-1", "sim-2"]]


def test_a_former_member_gives_up_the_label() -> None:
    before = {"sim-1": active("sim-1", 5)}
    newer = process("sim-2", replica("sim-2", FIRST, Role.ACTIVE, term=6))
    for now in (spare("sim-1"), process("sim-1", replica("sim-1", EAST, Role.ACTIVE, term=2))):
        found = steps(fleet_index(now, newer, WITNESS, recorded=(FIRST,), labels=before))
        assert found[0]["sim-1"].role is not Role.ACTIVE
        assert found[0]["sim-1"].area != "west"
        assert found[-1]["sim-2"] == active("sim-2", 6)


def test_the_term_of_a_label_does_not_fall_when_its_role_changes() -> None:
    """The term is the fence."""
    behind = process("sim-2", replica("sim-2", FIRST, Role.PASSIVE, term=3))
    before = {"sim-1": Label("west", Role.PASSIVE, 5), "sim-2": Label("west", Role.JOINING, 5)}
    found = steps(fleet_index(silent("sim-1", 1), behind, WITNESS, recorded=(FIRST,), labels=before))
    assert [step["sim-2"] for step in found] == [Label("west", Role.PASSIVE, 5)]


def test_of_two_that_report_to_be_active_the_higher_term_is_labelled() -> None:
    stale = process("sim-1", replica("sim-1", FIRST, Role.ACTIVE, term=5))
    newer = process("sim-2", replica("sim-2", FIRST, Role.ACTIVE, term=6))
    found = steps(fleet_index(stale, newer, WITNESS, recorded=(FIRST,), labels={"sim-1": active("sim-1", 5)}))
    assert found[-1] == {"sim-1": Label("west", Role.PASSIVE, 6), "sim-2": active("sim-2", 6)}
    assert all(sum(label.role is Role.ACTIVE for label in step.values()) <= 1 for step in found)


def test_a_promotion_is_planned_alone() -> None:
    """Changes of one plan are made side by side, and some of them may fail."""
    roles = (Role.ACTIVE, Role.PASSIVE, Role.JOINING)
    for old, new in itertools.product(itertools.product(roles, repeat=2), repeat=2):
        names = ("sim-1", "sim-2")
        now = [process(n, replica(n, FIRST, role, term=2)) for n, role in zip(names, new, strict=True)]
        before = {n: Label("west", role, 1) for n, role in zip(names, old, strict=True)}
        changes = plan_labels(fleet_index(*now, WITNESS, recorded=(FIRST,), labels=before).view("west", NOW))
        promoted = [change for change in changes if change.label.role is Role.ACTIVE]
        assert not promoted or len(changes) == 1
    world = fleet_index(*pair(FIRST), recorded=(FIRST,), labels={"sim-2": Label("west", Role.PASSIVE, 1)})
    assert [change.replica for change in plan_labels(world.view("west", NOW))] == ["sim-1"]


def test_labels_that_are_right_are_not_written_again() -> None:
    before = {"sim-1": active("sim-1", 1), "sim-2": Label("west", Role.PASSIVE, 1)}
    assert steps(fleet_index(*pair(FIRST), recorded=(FIRST,), labels=before)) == []


def test_the_label_of_a_process_with_another_area_is_that_areas_affair() -> None:
    following = assignment("sim-1", "sim-5", "witness-1", generation=2, joins=("sim-5",))
    other = process("sim-5", replica("sim-5", EAST, Role.PASSIVE))
    before = {
        "sim-1": active("sim-1", 1),
        "sim-2": Label("west", Role.PASSIVE, 1),
        "sim-5": Label("east", Role.JOINING, 1),
    }
    world = fleet_index(*pair(FIRST), other, recorded=(following,), labels=before)
    assert "sim-5" in world.view("west", NOW).processes
    assert steps(world) == []


def test_a_status_of_a_later_term_is_a_fence_before_any_label() -> None:
    stale = process("sim-1", replica("sim-1", FIRST, Role.ACTIVE, term=3))
    later = process("sim-2", replica("sim-2", FIRST, Role.PASSIVE, term=5))
    before = {name: Label("west", Role.PASSIVE, 3) for name in ("sim-1", "sim-2")}
    assert steps(fleet_index(stale, later, WITNESS, recorded=(FIRST,), labels=before)) == []
