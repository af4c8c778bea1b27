"""Which areas the index notifies, and the cost of a round in a large world."""

from __future__ import annotations

import time

import msgspec

from pairsim.model.assignment import Assignment
from pairsim.model.status import ReplicaStatus, Role
from pairsim_controller.plan.area import decide
from pairsim_controller.plan.fleet_index import NO_AREA, DesiredArea, FleetIndex
from pairsim_controller.plan.labels import plan_labels
from pairsim_controller.plan.view import Assign, Kind, Label, ObservedProcess, SetLabel
from tests.unit.controller.builders import (
    NOW,
    assignment,
    dead,
    fleet_index,
    leaving,
    observe,
    pair,
    process,
    replica,
    silent,
    spare,
    spec,
    witness,
)

FIRST = assignment("sim-1", "sim-2", "witness-1")
EAST = assignment("sim-5", "sim-6", "witness-1", area="east")
ACTIVE, PASSIVE, _ = pair(FIRST)
WITNESS = process("witness-1", witness("witness-1", FIRST, EAST))


class Touched(list[str]):
    """The areas that were notified since the last `take`."""

    def take(self) -> set[str]:
        names = set(self)
        self.clear()
        return names


def two_areas() -> tuple[FleetIndex, Touched]:
    touched = Touched()
    world = fleet_index(
        *(ACTIVE, PASSIVE, WITNESS, *pair(EAST)[:2]), recorded=(FIRST, EAST), areas=("west", "east"),
        touched=touched.append,
    )  # fmt: skip
    touched.take()
    return world, touched


def said(seen: ObservedProcess, **changes: object) -> ObservedProcess:
    assert isinstance(seen.status, ReplicaStatus)
    return msgspec.structs.replace(seen, status=msgspec.structs.replace(seen.status, **changes))


def test_a_version_of_the_map_is_known_and_causes_no_round() -> None:
    world, touched = two_areas()
    observe(world, said(ACTIVE, version=7, number=2))
    assert touched.take() == set()
    assert {claim.area: claim.known for claim in world.claims("plane")} == {"east": 0, "west": 7}


def test_ticks_do_not_notify() -> None:
    world, touched = two_areas()
    observe(world, said(ACTIVE, tick=6, synced_tick=6, entities=9, digest="ab"), NOW + 1)
    ticked = process("witness-1", witness("witness-1", FIRST, EAST))
    assert ticked.witness is not None
    later = tuple(msgspec.structs.replace(g, tick=99) for g in ticked.witness.areas)
    observe(world, process("witness-1", msgspec.structs.replace(ticked.witness, areas=later)), NOW + 1)
    assert not touched


def test_a_significant_change_notifies_its_area_only() -> None:
    for change in (
        said(ACTIVE, role=Role.PASSIVE),
        said(ACTIVE, term=2),
        said(ACTIVE, generation=2),
        said(ACTIVE, in_sync=False),
        said(ACTIVE, peer_in_sync=False),
        said(ACTIVE, members=("a", "b", "c")),
        silent("sim-1", 1),
        dead("sim-1"),
        leaving(ACTIVE),
        said(ACTIVE, leaving=True),
        msgspec.structs.replace(ACTIVE, url="http://elsewhere"),
        spare("sim-1"),
        process("witness-1", witness("witness-1", FIRST, EAST, term=1).__class__(
            replica="witness-1", started_at=0, pid=1, peer="", areas=(*witness("witness-1", FIRST, term=2).areas,
                                                                       *witness("witness-1", EAST).areas),
        )),
    ):  # fmt: skip
        world, touched = two_areas()
        observe(world, change)
        assert touched.take() - {NO_AREA} == {"west"}, change


def test_a_witness_that_starts_to_vote_notifies_its_area_only() -> None:
    joined = witness("witness-1", FIRST, EAST)
    groups = tuple(msgspec.structs.replace(g, votes=g.area != "west") for g in joined.areas)
    world, touched = two_areas()
    observe(world, process("witness-1", msgspec.structs.replace(joined, areas=groups)))
    touched.take()
    observe(world, process("witness-1", joined))
    assert touched.take() == {"west"}


def test_a_leaving_process_is_offered_to_no_area() -> None:
    third, other = spare("sim-3"), process("witness-2", witness("witness-2"))
    world = fleet_index(third, spare("sim-4"), other, WITNESS, areas=())
    observe(world, said(third, leaving=True))
    assert other.status is not None
    observe(world, msgspec.structs.replace(other, status=msgspec.structs.replace(other.status, leaving=True)))
    seen = world.view("west", NOW)
    assert [p.name for p in seen.spares] == ["sim-4"]
    assert [p.name for p in seen.witnesses] == ["witness-1"]


def test_a_witness_that_is_shutting_down_notifies_all_its_areas() -> None:
    world, touched = two_areas()
    assert WITNESS.status is not None
    observe(world, msgspec.structs.replace(WITNESS, status=msgspec.structs.replace(WITNESS.status, leaving=True)))
    assert touched.take() == {"west", "east"}


def test_a_lost_witness_notifies_all_its_areas() -> None:
    world, touched = two_areas()
    world.on_status("witness-1", None, NOW)
    assert touched.take() == {"west", "east"}
    world.remove_process("witness-1")
    assert touched.take() == {"west", "east"}
    assert "witness-1" not in world.view("west", NOW).processes


def test_labels_desired_areas_and_records_notify_their_area() -> None:
    world, touched = two_areas()
    world.set_label("sim-1", Label("west", Role.ACTIVE, 1))
    assert touched.take() == {"west"}
    world.set_label("sim-1", Label("east", Role.ACTIVE, 1))
    assert touched.take() == {"west", "east"}
    world.set_desired("west", DesiredArea(spec(), paused=True))
    assert touched.take() == {"west"}
    world.set_desired("west", DesiredArea(spec(), paused=True))
    assert not touched
    world.set_desired("west", None)
    world.set_record("east", None)
    assert touched.take() == {"west", "east"}


def test_each_new_spare_notifies_one_waiting_area() -> None:
    world, touched = two_areas()
    for area in ("west", "east"):
        world.await_capacity(area, [Kind.SIMULATOR])
    for name, area in (("sim-7", "west"), ("sim-8", "east")):
        observe(world, spare(name))
        assert touched.take() == {area, NO_AREA}
    observe(world, spare("sim-9"))
    assert touched.take() == {NO_AREA}, "no area waits any more"


def test_a_spare_without_labels_needs_a_spare_label() -> None:
    world, _touched = two_areas()
    observe(world, spare("sim-7"))
    assert world.missing_spare_labels() == (SetLabel("sim-7", Label("", Role.SPARE, 0)),)
    world.set_label("sim-7", Label("", Role.SPARE, 0))
    assert world.missing_spare_labels() == ()


def test_a_removed_spare_needs_no_label() -> None:
    world, _touched = two_areas()
    observe(world, spare("sim-7"))
    world.remove_process("sim-7")
    assert world.missing_spare_labels() == ()


def test_a_replaced_witness_has_one_area_less() -> None:
    world, _touched = two_areas()
    observe(world, process("witness-2", witness("witness-2")))
    assert world.view("west", NOW).load == {"witness-1": 2, "witness-2": 0}
    world.set_record("west", assignment("sim-1", "sim-2", "witness-2", generation=2))
    assert world.view("west", NOW).load == {"witness-1": 1, "witness-2": 1}


def test_a_view_narrows_a_witness_to_the_area_and_counts_silent_seconds() -> None:
    world, _touched = two_areas()
    world.on_status("sim-2", None, NOW + 3)
    view = world.view("west", NOW + 4)
    assert view.processes.keys() == {"sim-1", "sim-2", "witness-1"}
    assert view.processes["sim-2"].silent_seconds == 4
    seen = view.processes["witness-1"].witness
    assert seen is not None
    assert [group.area for group in seen.areas] == ["west"]


def test_a_promised_spare_is_not_offered_until_the_promise_ends() -> None:
    world, _touched = two_areas()
    observe(world, spare("sim-7"))
    assert [p.name for p in world.view("west", NOW).spares] == ["sim-7"]
    following = assignment("sim-5", "sim-7", "witness-1", area="east", generation=2, joins=("sim-7",))
    world.set_record("east", following)
    assert world.view("west", NOW).spares == ()
    world.set_record("east", EAST)
    assert [p.name for p in world.view("west", NOW).spares] == ["sim-7"]


def test_a_process_stays_promised_while_one_of_its_areas_has_it() -> None:
    """Two records may name it for a moment, when one of them was adopted from what processes reported."""
    world, _touched = two_areas()
    observe(world, spare("sim-7"))
    for area in ("west", "east"):
        world.set_record(area, assignment("sim-5", "sim-7", "witness-1", area=area, generation=2, joins=("sim-7",)))
    world.set_record("west", FIRST)
    assert world.view("north", NOW).spares == ()
    world.set_record("east", EAST)
    assert [p.name for p in world.view("north", NOW).spares] == ["sim-7"]


def test_a_new_witness_notifies_every_area_that_waits_for_one() -> None:
    world, touched = two_areas()
    for area in ("west", "east"):
        world.await_capacity(area, [Kind.WITNESS])
    observe(world, spare("sim-7"))
    assert touched.take() == {NO_AREA}
    observe(world, process("witness-2", witness("witness-2")))
    assert touched.take() >= {"west", "east"}


def test_an_area_that_waits_no_more_is_not_notified() -> None:
    world, touched = two_areas()
    world.await_capacity("west", [Kind.SIMULATOR])
    world.await_capacity("west", [])
    world.await_capacity("east", [Kind.SIMULATOR])
    observe(world, spare("sim-7"))
    assert touched.take() == {"east", NO_AREA}


def test_a_view_shows_the_members_that_a_member_reports_without_a_record() -> None:
    world = fleet_index(ACTIVE, silent("sim-2", 1), process("witness-1", witness("witness-1")))
    assert world.view("west", NOW).processes.keys() == {"sim-1", "sim-2", "witness-1"}


def test_a_removed_process_leaves_nothing_behind() -> None:
    world, touched = two_areas()
    world.set_label("sim-1", Label("west", Role.ACTIVE, 1))
    touched.take()
    world.remove_process("sim-1")
    assert touched.take() == {"west"}
    assert (world.label("sim-1"), world.labels()) == (None, {})
    view = world.view("west", NOW)
    assert ("sim-1" in view.processes, view.labels) == (False, {})
    observe(world, spare("sim-1"))
    assert world.view("west", NOW).spares == (), "it is promised to the area until the record changes"


def test_a_process_that_comes_back_is_not_seen_where_it_was_labelled_before() -> None:
    world, _touched = two_areas()
    observe(world, spare("sim-7"))
    world.set_label("sim-7", Label("north", Role.PASSIVE, 1))
    assert world.view("north", NOW).processes.keys() == {"sim-7"}
    world.remove_process("sim-7")
    observe(world, spare("sim-7"))
    assert world.view("north", NOW).processes == {}


def test_a_status_of_an_unknown_process_is_ignored() -> None:
    world, touched = two_areas()
    world.on_status("sim-9", replica("sim-9"), NOW)
    assert not touched
    assert world.view("west", NOW).spares == ()


def test_a_hundred_leader_losses_in_a_world_of_a_thousand_areas() -> None:
    """Counts rounds, and bounds the processor time so that only quadratic work exceeds it."""
    areas = [f"area-{n}" for n in range(1000)]
    made: dict[str, Assignment] = {}
    touched = Touched()
    world = FleetIndex(touched.append)
    for n, area in enumerate(areas):
        made[area] = assignment(f"sim-{2 * n}", f"sim-{2 * n + 1}", f"witness-{n % 2}", area=area)
        world.set_desired(area, DesiredArea(spec(area)))
        for seen in pair(made[area])[:2]:
            observe(world, seen)
        world.set_record(area, made[area])
    for w in range(2):
        observe(world, process(f"witness-{w}", witness(f"witness-{w}", *(made[a] for a in areas[w::2]))))
    for n in range(100):
        observe(world, spare(f"spare-{n}"))
    settle(world, touched.take())
    touched.take()

    began = time.process_time()
    for area in areas[:100]:
        first, second, _third = made[area].members()
        observe(world, dead(first.replica))
        observe(world, process(second.replica, replica(second.replica, made[area], Role.ACTIVE, term=2)))
    looks = 0
    newcomers: dict[str, str] = {}
    while names := touched.take() - {NO_AREA}:
        looks += len(names)
        for action in settle(world, names):
            if isinstance(action, Assign):
                (newcomer,) = action.assignment.joins  # the assignment is repeated until it is in force
                assert newcomers.setdefault(newcomer, action.assignment.spec.area) == action.assignment.spec.area
    took = time.process_time() - began
    assert len(newcomers) == len(set(newcomers.values())) == 100, "every area gets a spare of its own"
    assert looks <= 500, "an area needs a few rounds, whatever happens to the others"
    assert took < 1.0
    labels = world.labels()
    for area in areas[:100]:
        assert labels[made[area].replicas[1].replica] == Label(area, Role.ACTIVE, 2)


def settle(world: FleetIndex, names: set[str]) -> list[object]:
    """Runs a round of each area, without its requests."""
    found: list[object] = []
    for area in sorted(names - {NO_AREA}):
        seen = world.view(area, NOW)
        for change in plan_labels(seen):
            world.set_label(change.replica, change.label)
        for action in decide(seen):
            found.append(action)
            if isinstance(action, Assign):
                world.set_record(area, action.assignment)
    return found
