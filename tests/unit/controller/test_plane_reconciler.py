"""A plane is divided into areas once, and summarises them in its status."""

from __future__ import annotations

from typing import Any

from pairsim.model.documents.manifests import AreaManifestSpec, PlaneSpec
from pairsim.model.geometry import Box
from pairsim_controller.kube.api.objects import AreaObject, AreaStatus, Condition, ObjectMeta, PlaneObject
from pairsim_controller.kube.api.port import AREAS, PLANES
from pairsim_controller.kube.plane_reconciler import areas_to_create, plane_status
from tests.unit.controller.cluster_harness import cluster_harness

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
    return AreaObject(metadata=ObjectMeta(name), spec=AreaManifestSpec("p", bounds), status=status)


def cut(number: int, **conditions: str) -> list[AreaObject]:
    return [area(a.metadata.name, a.spec.bounds, **conditions) for a in areas_to_create(plane(number), ())]


def test_a_plane_without_areas_is_divided() -> None:
    made = areas_to_create(plane(3), ())
    assert [a.metadata.name for a in made] == ["p-0", "p-1", "p-2"]
    assert [(a.spec.bounds.min[0], a.spec.bounds.max[0]) for a in made] == [(0, 100), (100, 200), (200, 300)]
    assert areas_to_create(plane(0), ()) == ()


def test_only_missing_areas_are_created() -> None:
    areas = cut(3)
    assert areas_to_create(plane(3), areas) == ()
    assert [a.metadata.name for a in areas_to_create(plane(3), [areas[0], areas[2]])] == ["p-1"]


def test_areas_of_another_division_are_left_alone_and_reported() -> None:
    assert areas_to_create(plane(4), cut(3)) == ()
    assert areas_to_create(plane(2), [area("own", BOUNDS)]) == ()
    said = {c.type: c for c in plane_status(plane(4), cut(3), 0.0).conditions}["Degraded"]
    assert (said.status, said.reason) == ("True", "CutAlready")
    assert "3 areas, and 4 are wanted" in said.message


def test_a_deleted_plane_is_not_divided() -> None:
    assert areas_to_create(plane(2, deletion_timestamp="2026-01-01T00:00:00Z"), ()) == ()


def test_the_status_summarises_all_areas() -> None:
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


async def test_the_controller_divides_a_plane_and_creates_its_areas() -> None:
    async with cluster_harness(simulators=4, areas=()) as cluster:
        cluster.world(areas=2)
        await cluster.controller()
        await cluster.paired("physics-0")
        await cluster.paired("physics-1")
        await cluster.until(lambda: cluster.api.get(PLANES, "physics").get("status", {}).get("areas") == 2)
        owner = cluster.api.get(AREAS, "physics-0")["metadata"]["ownerReferences"][0]
        assert (owner["kind"], owner["name"]) == ("Plane", "physics")
        await cluster.until(
            lambda: (
                {c["type"]: c["status"] for c in cluster.api.get(PLANES, "physics")["status"]["conditions"]}
                == {"Degraded": "False", "Ready": "True", "Redundant": "True"}
            )
        )
