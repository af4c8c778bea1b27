"""A plane is cut into the areas that it wants, once, and tells what became of them."""

from __future__ import annotations

from typing import Any

from pairsim.model.documents.world import AreaPart, PlaneSpec
from pairsim.model.geometry import Box
from pairsim_controller.kube.api.objects import AreaObject, AreaStatus, Condition, ObjectMeta, PlaneObject
from pairsim_controller.kube.api.port import AREAS, PLANES
from pairsim_controller.kube.plane_reconciler import missing, plane_status
from tests.unit.controller.cluster import scene

BOUNDS = Box((0, 0, 0), (300, 100, 50))


def plane(areas: int, **meta: Any) -> PlaneObject:
    return PlaneObject(metadata=ObjectMeta("p", generation=3, **meta), spec=PlaneSpec("physics", BOUNDS, areas=areas))


def area(name: str, bounds: Box, **conditions: str) -> AreaObject:
    status = AreaStatus(
        conditions=tuple(
            Condition(type=kind, status=value, reason="", message="", last_transition_time="")
            for kind, value in conditions.items()
        )
    )
    return AreaObject(metadata=ObjectMeta(name), spec=AreaPart("p", bounds), status=status)


def cut(number: int, **conditions: str) -> list[AreaObject]:
    return [area(a.metadata.name, a.spec.bounds, **conditions) for a in missing(plane(number), ())]


def test_a_plane_without_areas_is_cut_into_what_it_wants() -> None:
    made = missing(plane(3), ())
    assert [a.metadata.name for a in made] == ["p-0", "p-1", "p-2"]
    assert [(a.spec.bounds.min[0], a.spec.bounds.max[0]) for a in made] == [(0, 100), (100, 200), (200, 300)]
    assert missing(plane(0), ()) == ()


def test_what_is_there_is_not_made_again_and_a_gap_is_filled() -> None:
    areas = cut(3)
    assert missing(plane(3), areas) == ()
    assert [a.metadata.name for a in missing(plane(3), [areas[0], areas[2]])] == ["p-1"]


def test_areas_of_another_cut_are_left_alone_and_that_is_said() -> None:
    assert missing(plane(4), cut(3)) == ()
    assert missing(plane(2), [area("own", BOUNDS)]) == ()
    said = {c.type: c for c in plane_status(plane(4), cut(3), 0.0).conditions}["Degraded"]
    assert (said.status, said.reason) == ("True", "CutAlready")
    assert "3 areas, and 4 are wanted" in said.message


def test_a_plane_that_is_deleted_is_not_cut() -> None:
    assert missing(plane(2, deletion_timestamp="2026-01-01T00:00:00Z"), ()) == ()


def test_the_status_is_that_of_all_areas() -> None:
    areas = [*cut(5, Ready="True", Redundant="True", Degraded="False")]
    good = plane_status(plane(5), areas, 1.0)
    assert (good.areas, good.selector, good.observed_generation) == (5, "pairsim.io/plane=p", 3)
    assert {c.type: c.status for c in good.conditions} == {"Degraded": "False", "Ready": "True", "Redundant": "True"}
    bad = cut(5, Ready="True", Redundant="False", Degraded="True")
    conditions = {c.type: c for c in plane_status(plane(5), bad, 1.0).conditions}
    assert {kind: c.status for kind, c in conditions.items()} == {
        "Degraded": "True", "Ready": "True", "Redundant": "False",
    }  # fmt: skip
    assert conditions["Redundant"].message == "p-0, p-1, p-2 and 2 more: see there"
    assert {c.type: c.status for c in plane_status(plane(0), (), 1.0).conditions}["Ready"] == "False"


def test_transition_times_stay_while_nothing_changes() -> None:
    areas = cut(2, Ready="True", Redundant="True", Degraded="False")
    first = plane_status(plane(2), areas, 1.0)
    later = PlaneObject(metadata=ObjectMeta("p", generation=3), spec=plane(2).spec, status=first)
    assert plane_status(later, areas, 99.0) == first


async def test_the_controller_cuts_a_plane_and_founds_its_areas() -> None:
    async with scene(simulators=4, areas=()) as at:
        at.world(areas=2)
        await at.controller()
        await at.paired("physics-0")
        await at.paired("physics-1")
        await at.until(lambda: at.api.get(PLANES, "physics").get("status", {}).get("areas") == 2)
        owner = at.api.get(AREAS, "physics-0")["metadata"]["ownerReferences"][0]
        assert (owner["kind"], owner["name"]) == ("Plane", "physics")
        await at.until(
            lambda: (
                {c["type"]: c["status"] for c in at.api.get(PLANES, "physics")["status"]["conditions"]}
                == {"Degraded": "False", "Ready": "True", "Redundant": "True"}
            )
        )
