"""The actions of `decide`, case by case."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pairsim.model.status import Role
from pairsim_controller.plan.area import decide
from pairsim_controller.plan.facts import LOST_AFTER_SECONDS
from pairsim_controller.plan.fleet_index import DesiredArea, FleetIndex
from pairsim_controller.plan.labels import plan_labels
from pairsim_controller.plan.view import (
    Action,
    AdoptReported,
    Assign,
    BackUp,
    DropRecord,
    Kind,
    Label,
    ObservedProcess,
    Release,
    Report,
    ResendAssignment,
    Switchover,
    View,
)
from tests.unit.controller.builders import (
    NOW,
    assignment,
    dead,
    fleet_index,
    leaving,
    pair,
    process,
    replica,
    silent,
    spare,
    spec,
    view,
    without_joins,
    witness,
)

FIRST = assignment("sim-1", "sim-2", "witness-1")
NEXT = assignment("sim-1", "sim-3", "witness-1", generation=2, joins=("sim-3",))
ACTIVE, PASSIVE, WITNESS = pair(FIRST)
EMPTY_WITNESS = process("witness-1", witness("witness-1"))


def actions(seen: View) -> list[Action]:
    return list(decide(seen))


def one_after_the_other(world: FleetIndex) -> list[Action]:
    """The areas in the order of their names, as a backend does it: what is assigned is recorded at once."""
    found = []
    for area in sorted(world.areas()):
        for action in actions(world.view(area, NOW)):
            if isinstance(action, Assign):
                world.set_record(area, action.assignment)
            found.append(action)
    return found


def says(seen: View) -> str:
    """The one sentence that is all there is to do."""
    (only,) = actions(seen)
    assert isinstance(only, Report)
    return only.message


# --- creation


def test_an_area_is_created_from_spares_and_a_witness_in_the_order_of_their_names() -> None:
    assert actions(view(spare("sim-3"), spare("sim-1"), spare("sim-2"), EMPTY_WITNESS)) == [
        Assign(FIRST, ("sim-1", "sim-2", "witness-1"))
    ]


def test_two_areas_are_created_from_four_spares() -> None:
    spares = [spare(f"sim-{n}") for n in range(1, 5)]
    founded = one_after_the_other(fleet_index(*spares, EMPTY_WITNESS, areas=("west", "east")))
    assert [a.targets for a in founded if isinstance(a, Assign)] == [
        ("sim-1", "sim-2", "witness-1"),
        ("sim-3", "sim-4", "witness-1"),
    ]


def test_areas_are_spread_over_witnesses() -> None:
    witnesses = [process(f"witness-{n}", witness(f"witness-{n}")) for n in (1, 2)]
    spares = [spare(f"sim-{n}") for n in range(1, 9)]
    founded = one_after_the_other(fleet_index(*spares, *witnesses, areas=("a", "b", "c", "d")))
    assert [a.assignment.witness.replica for a in founded if isinstance(a, Assign)] == ["witness-1", "witness-2"] * 2


def test_an_area_waits_for_spares_and_for_a_witness() -> None:
    assert "two spare simulators, there are 1" in says(view(spare("sim-1"), EMPTY_WITNESS))
    assert "waits for a witness" in says(view(spare("sim-1"), spare("sim-2")))


def test_first_members_without_the_area_receive_it_again() -> None:
    half = process("sim-1", replica("sim-1", FIRST, Role.JOINING, term=0, tick=0))
    seen = view(half, spare("sim-2"), EMPTY_WITNESS, recorded=(FIRST,))
    assert actions(seen) == [ResendAssignment(FIRST, ("sim-2", "witness-1"))]


@pytest.mark.parametrize("absent", [dead("sim-2"), silent("sim-2", 2 * LOST_AFTER_SECONDS)])
def test_an_area_does_not_begin_while_a_first_member_may_have_a_history(absent: ObservedProcess) -> None:
    seen = view(spare("sim-1"), absent, EMPTY_WITNESS, spare("sim-3"), recorded=(FIRST,))
    assert "waits for all first members" in says(seen)


def test_a_first_member_that_is_gone_before_the_first_term_frees_the_others() -> None:
    half = process("sim-1", replica("sim-1", FIRST, Role.JOINING, term=0, tick=0))
    assert actions(view(half, EMPTY_WITNESS, recorded=(FIRST,))) == [Release("sim-1", "west")]
    assert actions(view(spare("sim-1"), EMPTY_WITNESS, recorded=(FIRST,))) == [DropRecord("west")]


def test_an_area_whose_witness_has_its_history_is_not_created_again() -> None:
    seen = view(spare("sim-1"), spare("sim-2"), spare("sim-3"), WITNESS, recorded=(FIRST,))
    assert "came back without their state" in says(seen)


# --- losses


def test_a_working_pair_is_left_alone() -> None:
    assert actions(view(ACTIVE, PASSIVE, WITNESS, spare("sim-3"), recorded=(FIRST,))) == []


def test_a_dead_replica_is_replaced_by_the_first_spare_through_the_active() -> None:
    seen = view(ACTIVE, dead("sim-2"), WITNESS, spare("sim-4"), spare("sim-3"), recorded=(FIRST,))
    assert actions(seen) == [Assign(NEXT, ("sim-3", "sim-1"))]


def test_a_member_that_reports_leaving_is_replaced_although_its_pod_stays() -> None:
    assert PASSIVE.status is not None
    says_so = msgspec.structs.replace(PASSIVE, status=msgspec.structs.replace(PASSIVE.status, leaving=True))
    seen = view(ACTIVE, says_so, WITNESS, spare("sim-3"), recorded=(FIRST,))
    assert actions(seen) == [Assign(NEXT, ("sim-3", "sim-1"))]


def test_without_a_spare_an_area_waits_for_its_dead_replica() -> None:
    assert "available: it is being restarted with its data" in says(
        view(ACTIVE, dead("sim-2"), WITNESS, recorded=(FIRST,))
    )
    assert "no spare is available: add a simulator" in says(view(ACTIVE, WITNESS, recorded=(FIRST,)))


def test_one_spare_is_not_promised_to_two_areas() -> None:
    east = assignment("sim-5", "sim-6", "witness-1", area="east")
    both = process("witness-1", witness("witness-1", FIRST, east))
    world = fleet_index(
        ACTIVE, dead("sim-2"), *pair(east)[:1], dead("sim-6"), both, spare("sim-3"),
        recorded=(FIRST, east), areas=("west", "east"),
    )  # fmt: skip
    assert [type(action) for action in one_after_the_other(world)] == [Assign, Report]


def test_a_promised_spare_is_not_taken_before_it_joins() -> None:
    east = assignment("sim-5", "sim-3", "witness-1", area="east", generation=2, joins=("sim-3",))
    seen = view(
        ACTIVE, dead("sim-2"), WITNESS, spare("sim-3"), silent("sim-5", 1), recorded=(FIRST, east), areas=("west",)
    )
    assert not [a for a in actions(seen) if isinstance(a, Assign)]


@pytest.mark.parametrize(("seconds", "kind"), [(LOST_AFTER_SECONDS - 1, None), (LOST_AFTER_SECONDS + 1, Assign)])
def test_a_silent_replica_is_replaced_after_a_while(seconds: float, kind: type[Action] | None) -> None:
    seen = view(ACTIVE, silent("sim-2", seconds), WITNESS, spare("sim-3"), recorded=(FIRST,))
    assert [type(action) for action in actions(seen)] == ([kind] if kind else [])


def test_a_silent_replica_is_not_replaced_if_only_one_member_confirms() -> None:
    late = 2 * LOST_AFTER_SECONDS
    assert (
        actions(view(ACTIVE, silent("sim-2", late), silent("witness-1", late), spare("sim-3"), recorded=(FIRST,))) == []
    )
    assert actions(view(silent("sim-1", late), PASSIVE, WITNESS, spare("sim-3"), recorded=(FIRST,))) == []


def test_with_all_members_out_of_reach_nothing_is_done() -> None:
    late = 10 * LOST_AFTER_SECONDS
    seen = view(
        silent("sim-1", late), silent("sim-2", late), silent("witness-1", late), spare("sim-3"), recorded=(NEXT,)
    )
    assert "nothing is changed" in says(seen)


def test_an_area_waits_after_two_losses() -> None:
    assert "sim-1 and sim-2 are lost" in says(
        view(dead("sim-1"), dead("sim-2"), WITNESS, spare("sim-3"), recorded=(FIRST,))
    )


def test_an_area_waits_for_the_only_witness_and_replaces_one_of_two() -> None:
    assert actions(view(ACTIVE, PASSIVE, dead("witness-1"), spare("sim-3"), recorded=(FIRST,))) == []
    other = process("witness-2", witness("witness-2"))
    following = assignment("sim-1", "sim-2", "witness-2", generation=2, joins=("witness-2",))
    assert actions(view(ACTIVE, PASSIVE, dead("witness-1"), other, recorded=(FIRST,))) == [
        Assign(following, ("witness-2", "sim-1"))
    ]
    told = process("witness-2", witness("witness-2", following, term=0))
    assert actions(view(ACTIVE, PASSIVE, dead("witness-1"), told, recorded=(following,))) == [
        Assign(following, ("witness-2", "sim-1"))
    ], "a witness that was told of a generation is no proof that it is in force"


@pytest.mark.parametrize("blank", ["sim-2", "witness-1"])
def test_a_member_that_lost_its_folder_receives_the_area_again(blank: str) -> None:
    second = assignment("sim-1", "sim-2", "witness-1", generation=2, joins=("sim-2",))
    seen = {p.name: p for p in (*pair(second), spare("sim-3"))}
    seen[blank] = spare("sim-2") if blank == "sim-2" else EMPTY_WITNESS
    assert actions(view(*seen.values(), recorded=(second,))) == [ResendAssignment(without_joins(second), (blank,))]


# --- transitions


def test_the_next_generation_is_sent_until_it_is_in_force() -> None:
    newcomer = process("sim-3", replica("sim-3", NEXT, Role.JOINING))
    seen = view(ACTIVE, dead("sim-2"), WITNESS, newcomer, recorded=(NEXT,))
    assert actions(seen) == [Assign(NEXT, ("sim-3", "sim-1"))]
    assert "waits for an active" in says(view(silent("sim-1", 1), dead("sim-2"), WITNESS, newcomer, recorded=(NEXT,)))


@pytest.mark.parametrize("newcomer", [dead("sim-3"), silent("sim-3", 2 * LOST_AFTER_SECONDS)])
def test_a_lost_newcomer_is_given_up(newcomer: ObservedProcess) -> None:
    seen = view(ACTIVE, dead("sim-2"), WITNESS, newcomer, spare("sim-4"), recorded=(NEXT,))
    assert actions(seen) == [AdoptReported(FIRST)]
    again = view(ACTIVE, dead("sim-2"), WITNESS, newcomer, spare("sim-4"), recorded=(FIRST,))
    assert [a.targets for a in actions(again) if isinstance(a, Assign)] == [("sim-4", "sim-1")]


def test_a_member_that_becomes_active_again_is_not_replaced() -> None:
    old = process("sim-2", replica("sim-2", FIRST, Role.ACTIVE, term=3))
    seen = view(dead("sim-1"), old, WITNESS, spare("sim-3"), recorded=(NEXT,))
    assert actions(seen) == [AdoptReported(FIRST)]


def test_a_stale_active_alone_does_not_revert_a_generation() -> None:
    third = assignment("sim-3", "sim-4", "witness-1", generation=3)
    stale = process("sim-1", replica("sim-1", FIRST, Role.ACTIVE))
    seen = view(stale, *(silent(n, 1) for n in ("sim-3", "sim-4", "witness-1")), recorded=(third,))
    assert not [a for a in actions(seen) if not isinstance(a, Report)]


def test_a_member_whose_process_is_gone_for_good_is_replaced() -> None:
    newcomer = process("sim-3", replica("sim-3", NEXT, Role.JOINING))
    assert actions(view(ACTIVE, WITNESS, newcomer, recorded=(NEXT,))) == [Assign(NEXT, ("sim-3", "sim-1"))]


def test_a_later_generation_is_adopted_and_former_members_are_released() -> None:
    sealed = without_joins(NEXT)
    seen = view(*pair(sealed), process("sim-2", replica("sim-2", FIRST, Role.PASSIVE)), recorded=(FIRST,))
    assert actions(seen) == [AdoptReported(sealed), Release("sim-2", "west")]


# --- leaving members


def test_a_leaving_passive_is_replaced_while_it_works() -> None:
    seen = view(ACTIVE, leaving(PASSIVE), WITNESS, spare("sim-3"), recorded=(FIRST,))
    assert actions(seen) == [Assign(NEXT, ("sim-3", "sim-1"))]
    assert "sim-2 leaves and no spare is available: add" in says(
        view(ACTIVE, leaving(PASSIVE), WITNESS, recorded=(FIRST,))
    )


def test_a_leaving_active_hands_over_first() -> None:
    assert actions(view(leaving(ACTIVE), PASSIVE, WITNESS, spare("sim-3"), recorded=(FIRST,))) == [
        Switchover("sim-1", "west")
    ]
    alone = process("sim-1", replica("sim-1", FIRST, Role.ACTIVE, peer_in_sync=False), terminating=True)
    assert "waits for its passive" in says(view(alone, PASSIVE, WITNESS, spare("sim-3"), recorded=(FIRST,)))


def test_the_passive_of_a_leaving_pair_is_replaced_first() -> None:
    seen = view(leaving(ACTIVE), leaving(PASSIVE), leaving(WITNESS), spare("sim-3"), recorded=(FIRST,))
    assert actions(seen) == [Assign(NEXT, ("sim-3", "sim-1"))]


def test_a_lost_member_is_replaced_before_a_leaving_one() -> None:
    seen = view(leaving(ACTIVE), dead("sim-2"), WITNESS, spare("sim-3"), recorded=(FIRST,))
    assert actions(seen) == [Assign(NEXT, ("sim-3", "sim-1"))]


def test_a_leaving_witness_is_replaced_by_one_that_stays() -> None:
    other = process("witness-2", witness("witness-2"))
    following = assignment("sim-1", "sim-2", "witness-2", generation=2, joins=("witness-2",))
    assert actions(view(ACTIVE, PASSIVE, leaving(WITNESS), other, recorded=(FIRST,))) == [
        Assign(following, ("witness-2", "sim-1"))
    ]
    seen = view(ACTIVE, PASSIVE, leaving(WITNESS), leaving(other), recorded=(FIRST,))
    assert "witness-1 leaves and no other witness" in says(seen)


def test_a_leaving_process_never_becomes_a_member() -> None:
    assert "two spare simulators, there are 1" in says(view(leaving(spare("sim-1")), spare("sim-2"), EMPTY_WITNESS))
    assert "waits for a witness" in says(view(spare("sim-1"), spare("sim-2"), leaving(EMPTY_WITNESS)))
    newcomer = process("sim-3", replica("sim-3", NEXT, Role.JOINING), terminating=True)
    assert actions(view(ACTIVE, dead("sim-2"), WITNESS, newcomer, spare("sim-4"), recorded=(NEXT,))) == [
        AdoptReported(FIRST)
    ]
    blank = leaving(spare("sim-2"))
    assert "leaves before the area has begun" in says(view(spare("sim-1"), blank, EMPTY_WITNESS, recorded=(FIRST,)))
    seen = view(ACTIVE, leaving(spare("sim-2")), WITNESS, spare("sim-3"), recorded=(FIRST,))
    assert actions(seen) == [Assign(NEXT, ("sim-3", "sim-1"))], "it is not told of the area again"


# --- machines


def on(node: str, seen: ObservedProcess) -> ObservedProcess:
    return msgspec.structs.replace(seen, node=node)


def test_members_are_taken_from_different_machines_when_possible() -> None:
    many = [on("a", spare(f"sim-{n}")) for n in range(1, 5)] + [on("b", spare("sim-5")), on("c", spare("sim-6"))]
    (founded,) = actions(view(*many, on("c", EMPTY_WITNESS)))
    assert isinstance(founded, Assign)
    assert founded.targets[:2] == ("sim-1", "sim-5")
    two = [on("a", spare("sim-1")), on("a", spare("sim-2")), on("b", spare("sim-3"))]
    (founded,) = actions(view(*two, on("b", EMPTY_WITNESS)))
    assert isinstance(founded, Assign)
    assert founded.targets[:2] == ("sim-1", "sim-3"), "a pair is kept apart before a witness is"


def test_a_replacement_is_taken_from_an_unused_machine() -> None:
    spares = (on("a", spare("sim-3")), on("c", spare("sim-4")), on("b", spare("sim-5")))
    seen = view(on("a", ACTIVE), dead("sim-2"), on("c", WITNESS), *spares, recorded=(FIRST,))
    (assigned,) = actions(seen)
    assert isinstance(assigned, Assign)
    assert assigned.targets == ("sim-5", "sim-1")


# --- paused, blocked and unrecorded areas


def test_only_the_labels_of_a_paused_area_are_changed() -> None:
    world = fleet_index(ACTIVE, dead("sim-2"), WITNESS, spare("sim-3"), recorded=(FIRST,))
    world.set_desired("west", DesiredArea(spec(), paused=True))
    assert [change.replica for change in plan_labels(world.view("west", NOW))] == ["sim-2"]
    assert actions(world.view("west", NOW)) == []


def test_a_blocked_area_is_not_created() -> None:
    world = fleet_index(spare("sim-1"), spare("sim-2"), EMPTY_WITNESS)
    world.set_desired("west", DesiredArea(spec(), blocked_reason="its plane is not there"))
    assert actions(world.view("west", NOW)) == [Report("west", "its plane is not there")]


def test_an_area_without_a_record_is_adopted_as_its_members_report() -> None:
    second = without_joins(NEXT)
    assert actions(view(*pair(second), spare("sim-4"), spare("sim-5"))) == [AdoptReported(second)]
    joining = process("sim-1", replica("sim-1", FIRST, Role.JOINING, term=0, tick=0))
    assert "knows the area and has no history" in says(view(joining, spare("sim-4"), spare("sim-5"), EMPTY_WITNESS))
    second_joining = process("sim-2", replica("sim-2", FIRST, Role.JOINING, term=0, tick=0))
    assert "sim-1 and sim-2 know the area and have no history of it: make them leave" in says(
        view(joining, second_joining, spare("sim-4"), EMPTY_WITNESS)
    )


def test_a_report_names_the_kind_of_process_that_is_needed() -> None:
    (waits,) = actions(view(spare("sim-1"), EMPTY_WITNESS))
    assert isinstance(waits, Report)
    assert waits.needs is Kind.SIMULATOR


# --- unwanted areas


def test_an_unwanted_area_is_released_and_its_record_dropped() -> None:
    seen = view(ACTIVE, PASSIVE, WITNESS, recorded=(FIRST,), areas=())
    assert actions(seen) == [Release(name, "west") for name in ("sim-1", "sim-2", "witness-1")]
    away = view(silent("sim-1", 99), spare("sim-2"), EMPTY_WITNESS, recorded=(FIRST,), areas=())
    assert "sim-1 cannot be reached to release the area: restart it, or delete it" in says(away)
    assert actions(view(spare("sim-1"), spare("sim-2"), EMPTY_WITNESS, recorded=(FIRST,), areas=())) == [
        DropRecord("west")
    ]


def test_a_record_stays_while_a_labelled_former_member_is_silent() -> None:
    crashing = {"sim-9": Label("west", Role.PASSIVE, 1)}
    seen = view(
        spare("sim-1"), spare("sim-2"), EMPTY_WITNESS, dead("sim-9"), recorded=(FIRST,), areas=(), labels=crashing
    )
    assert "sim-9 cannot be reached" in says(seen)
    assert "sim-9 cannot be reached" in says(view(dead("sim-9"), areas=(), labels=crashing))


KEPT: Any = {"recorded": (FIRST,), "areas": (), "backup_pending": ("west",)}


def test_no_member_is_released_before_the_active_is_backed_up() -> None:
    assert actions(view(ACTIVE, PASSIVE, WITNESS, **KEPT)) == [BackUp("sim-1", "west")]
    assert actions(view(ACTIVE, silent("sim-2", 1), WITNESS, **KEPT)) == [BackUp("sim-1", "west")]
    assert actions(view(ACTIVE, PASSIVE, WITNESS, recorded=(FIRST,), areas=()))[0] == Release("sim-1", "west")


@pytest.mark.parametrize(
    "seen",
    [
        (silent("sim-1", 1), PASSIVE, WITNESS),  # it may not have all that was acknowledged
        (ACTIVE, silent("sim-2", 99), silent("witness-1", 99)),  # it may have been replaced
        (silent("sim-1", 99), dead("sim-2"), WITNESS),
        (spare("sim-1"), silent("sim-2", 1), WITNESS),
    ],
)
def test_a_backup_waits_for_a_confirmed_active(seen: tuple[ObservedProcess, ...]) -> None:
    assert "waits for an active to be backed up" in says(view(*seen, **KEPT))


def test_an_active_of_an_older_generation_is_not_backed_up() -> None:
    newer = [process("sim-2", replica("sim-2", NEXT, Role.PASSIVE)), process("witness-1", witness("witness-1", NEXT))]
    assert "waits for an active" in says(view(ACTIVE, *newer, **KEPT))


@pytest.mark.parametrize(
    "left",
    [
        (spare("sim-1"), spare("sim-2"), WITNESS),  # both came back without it
        (process("sim-1", replica("sim-1", FIRST, Role.JOINING, term=0, tick=0)), spare("sim-2"), EMPTY_WITNESS),
    ],
)
def test_an_area_without_any_state_is_released_without_a_backup(left: tuple[ObservedProcess, ...]) -> None:
    assert {type(action) for action in actions(view(*left, **KEPT))} == {Release}


def test_the_record_of_vanished_members_is_dropped_without_a_backup() -> None:
    assert actions(view(spare("sim-4"), **KEPT)) == [DropRecord("west")]


def test_what_keeps_a_member_from_its_part_is_reported() -> None:
    status = msgspec.structs.replace(replica("sim-2", FIRST, Role.JOINING), problem="its columns are others")
    seen = view(ACTIVE, process("sim-2", status), WITNESS, recorded=(FIRST,))
    assert actions(seen) == [Report("west", "sim-2: its columns are others")]
    newcomer = msgspec.structs.replace(replica("sim-3", NEXT, Role.JOINING), problem="its columns are others")
    seen = view(ACTIVE, PASSIVE, WITNESS, process("sim-3", newcomer), recorded=(NEXT,))
    assert Report("west", "sim-3: its columns are others") in actions(seen)
