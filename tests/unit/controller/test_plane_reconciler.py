"""A plane is divided into areas once, and summarises them in its status."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pairsim.model.documents.manifests import AreaManifestSpec, PlaneSpec
from pairsim.model.geometry import Box
from pairsim_controller.kube.api.object_store import ObjectStore
from pairsim_controller.kube.api.objects import AreaObject, AreaStatus, Condition, ObjectMeta, PlaneObject, PlaneStatus
from pairsim_controller.kube.api.port import AREAS, PLANES, ChangedError
from pairsim_controller.kube.plane_reconciler import PlaneReconciler, areas_to_create, plane_status
from pairsim_controller.plan.authority import MapRecord
from tests.unit.controller.cluster_harness import cluster_harness
from tests.unit.controller.memory_api import MemoryApi

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
    assert {c.type: c.status for c in good.conditions} == {
        "Covered": "True", "Degraded": "False", "Ready": "True", "Redundant": "True",
    }  # fmt: skip
    bad = cut(5, Ready="True", Redundant="False", Degraded="True")
    conditions = {c.type: c for c in plane_status(plane(5), bad, 1.0).conditions}
    assert {kind: c.status for kind, c in conditions.items()} == {
        "Covered": "True", "Degraded": "True", "Ready": "True", "Redundant": "False",
    }  # fmt: skip
    assert conditions["Redundant"].message == "p-0, p-1, p-2 and 2 more: see there"
    assert {c.type: c.status for c in plane_status(plane(0), (), 1.0).conditions}["Ready"] == "False"


def test_places_without_an_area_are_a_condition() -> None:
    def covered(areas: list[AreaObject]) -> Condition:
        return {c.type: c for c in plane_status(plane(0), areas, 0.0).conditions}["Covered"]

    first, second, third = cut(3)
    assert covered([first, second, third]).status == "True"
    gap = covered([first, third])
    assert (gap.status, gap.reason) == ("False", "Gaps")
    assert gap.message.startswith("plane p: no area has x in [100, 200); ")
    deleted = msgspec.structs.replace(second, metadata=ObjectMeta("p-1", deletion_timestamp="2026-01-01T00:00:00Z"))
    assert covered([first, deleted, third]).status == "False"


def test_the_record_of_the_map_stays_in_a_status() -> None:
    recorded = PlaneStatus(version=7, highest_number=3, map_digest="00ff")
    kept = plane_status(msgspec.structs.replace(plane(2), status=recorded), cut(2), 0.0)
    assert (kept.version, kept.highest_number, kept.map_digest) == (7, 3, "00ff")


async def test_the_map_is_written_on_the_version_that_was_read() -> None:
    api, planes = MemoryApi(), ObjectStore(PlaneObject)
    body = {"metadata": {"name": "p"}, "spec": {"simulator": "physics", "bounds": msgspec.to_builtins(BOUNDS)}}
    planes.apply_event(api.put(PLANES, body))
    mine = PlaneReconciler(api, planes, lambda _plane: [])
    await mine.write_map("p", MapRecord(version=1, highest=2, digest="00ff"))
    found = planes.get("p")
    assert found is not None
    assert (found.status.version, found.status.highest_number, found.status.map_digest) == (1, 2, "00ff")
    api.change(PLANES, "p", lambda found: found["status"].update(version=2))
    with pytest.raises(ChangedError):
        await mine.write_map("p", MapRecord(version=2, highest=3, digest="ff00"))
    with pytest.raises(ChangedError, match="the plane q is gone"):
        await mine.write_map("q", MapRecord(version=1))


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
                == {"Covered": "True", "Degraded": "False", "Ready": "True", "Redundant": "True"}
            )
        )
