"""The maps of planes in a cluster: what is written where, and which controller makes the next version."""

from __future__ import annotations

from typing import Any

import msgspec

from pairsim.model.authority import Authority
from pairsim_controller.kube.api.objects import PlaneObject, PlaneStatus
from pairsim_controller.kube.api.port import AREAS, PLANES, ApiError, Resource
from tests.unit.controller.cluster_harness import ClusterHarness, cluster_harness


def plane(cluster: ClusterHarness) -> PlaneStatus:
    return msgspec.convert(cluster.api.get(PLANES, "physics"), PlaneObject).status


def replicas(authority: Authority) -> dict[str, set[str]]:
    """Returns the replicas of each area as an area knows them."""
    return {cell.area: {member.replica for member in cell.replicas} for cell in authority.cells}


def only_equal_maps(cluster: ClusterHarness) -> None:
    """Checks that all grants of one version had the same cells."""
    cells = {authority.version: authority.cells for authority in cluster.replicas.granted}
    assert all(cells[authority.version] == authority.cells for authority in cluster.replicas.granted)


async def all_know(cluster: ClusterHarness, **pairs: set[str]) -> int:
    """Waits until all of these areas know the replicas of each, as the statuses say too; returns the version."""

    def look() -> bool:
        known = [cluster.replicas.known(area) for area in pairs]
        versions = {authority.version for authority in known} | {cluster.status(area).version for area in pairs}
        return versions == {plane(cluster).version} and all(replicas(authority) == pairs for authority in known)

    await cluster.until(look)
    only_equal_maps(cluster)
    return plane(cluster).version


async def test_areas_get_numbers_cells_and_a_map_with_each_other() -> None:
    async with cluster_harness(simulators=4, areas=("west", "east")) as cluster:
        controller = await cluster.controller()
        for area in ("west", "east"):
            await cluster.paired(area)
        pairs = {area: set(cluster.roles(area)) for area in ("west", "east")}
        version = await all_know(cluster, **pairs)
        east, west = cluster.status("east"), cluster.status("west")
        assert (east.number, west.number, plane(cluster).highest_number) == (1, 2, 2)
        assert east.cell is not None
        assert (east.cell.min, east.cell.max) == ((1.0, 0.0, 0.0), (2.0, 1.0, 1.0))
        assert [(m.plane, m.version) for m in controller.cluster.world_map().planes] == [("physics", version)]
        covered = next(c for c in plane(cluster).conditions if c.type == "Covered")
        assert (covered.status, covered.reason) == ("False", "Gaps")
        assert covered.message.startswith("plane physics: no area has x in [2, 1000)")


async def test_a_replica_that_is_replaced_is_known_to_the_neighbour() -> None:
    async with cluster_harness(simulators=5, areas=("west", "east")) as cluster:
        await cluster.controller()
        for area in ("west", "east"):
            await cluster.paired(area)
        west, east = set(cluster.roles("west")), set(cluster.roles("east"))
        before = await all_know(cluster, west=west, east=east)
        lost = next(name for name, role in cluster.roles("east").items() if role == "passive")
        (spare,) = {f"sim-{n}" for n in range(1, 6)} - west - east
        await cluster.lose(lost)
        assert await all_know(cluster, west=west, east=east - {lost} | {spare}) > before


async def test_a_new_controller_goes_on_with_version_and_numbers() -> None:
    async with cluster_harness(simulators=4, areas=("west", "east")) as cluster:
        first = await cluster.controller()
        for area in ("west", "east"):
            await cluster.paired(area)
        pairs = {area: set(cluster.roles(area)) for area in ("west", "east")}
        version = await all_know(cluster, **pairs)
        await first.stop()
        granted = len(cluster.replicas.granted)
        second = await cluster.controller()
        await cluster.until(lambda: second.cluster.world_map().planes)
        assert second.cluster.world_map().planes[0].version == plane(cluster).version == version
        assert len(cluster.replicas.granted) == granted


async def test_a_plane_whose_status_was_wiped_makes_a_higher_version_than_any_area_knows() -> None:
    async with cluster_harness() as cluster:
        first = await cluster.controller()
        await cluster.paired()
        version = await all_know(cluster, west=set(cluster.roles("west")))
        await first.stop()
        cluster.api.change(PLANES, "physics", lambda body: body.pop("status"))
        await cluster.controller()
        await cluster.until(lambda: plane(cluster).version > version)
        await all_know(cluster, west=set(cluster.roles("west")))
        assert cluster.status("west").number == plane(cluster).highest_number == 1


async def test_of_two_controllers_only_one_makes_a_version() -> None:
    """Both believe that they hold the lease, and see every change at the same moment."""
    async with cluster_harness(simulators=5, areas=("west", "east")) as cluster:
        await cluster.controller()
        await cluster.controller()
        for area in ("west", "east"):
            await cluster.paired(area)
        await cluster.until(lambda: all(cluster.replicas.known(area).version for area in ("west", "east")))
        before = plane(cluster).version
        await cluster.lose(next(name for name, role in cluster.roles("east").items() if role == "passive"))
        await cluster.until(lambda: plane(cluster).version > before)
        await cluster.paired("east")
        await all_know(cluster, **{area: set(cluster.roles(area)) for area in ("west", "east")})
        statuses = [cluster.status(area) for area in ("west", "east")]
        assert len({status.number for status in statuses}) == 2


async def test_a_deleted_area_loses_its_cell_and_its_number_is_never_used_again() -> None:
    async with cluster_harness(simulators=4, areas=("west", "east")) as cluster:
        await cluster.controller()
        for area in ("west", "east"):
            await cluster.paired(area)
        west = set(cluster.roles("west"))
        await all_know(cluster, west=west, east=set(cluster.roles("east")))
        cluster.api.remove(AREAS, "east")
        await cluster.until(lambda: (AREAS.plural, "east") not in cluster.api.objects)
        await all_know(cluster, west=west)
        cluster.area("east", 1)
        await cluster.paired("east")
        await all_know(cluster, west=west, east=set(cluster.roles("east")))
        assert (cluster.status("west").number, cluster.status("east").number) == (2, 3)


async def test_no_grant_is_sent_before_plane_and_areas_are_written() -> None:
    async with cluster_harness() as cluster:
        refused = {PLANES}

        def fail(resource: Resource, body: dict[str, Any]) -> None:
            if resource in refused and (resource == PLANES or "number" in body.get("status", {})):
                raise ApiError("no")

        cluster.api.fail = fail
        controller = await cluster.controller()
        await cluster.until(lambda: controller.reconcile_queue.failures > 3)
        await cluster.until(lambda: sorted(cluster.roles("west").values()) == ["active", "passive"])
        assert cluster.replicas.granted == []
        refused.clear()
        await all_know(cluster, west=set(cluster.roles("west")))


async def test_definitions_of_an_earlier_release_are_told_and_nothing_is_granted() -> None:
    async with cluster_harness() as cluster:

        def prune(_resource: Resource, body: dict[str, Any]) -> None:
            for field in ("number", "cell", "version", "highestNumber", "mapDigest"):
                body.get("status", {}).pop(field, None)

        cluster.api.fail = prune
        controller = await cluster.controller()
        await cluster.paired()
        await cluster.until(lambda: controller.reconcile_queue.failures > 3)
        assert cluster.replicas.granted == []


async def test_an_area_of_a_plane_that_is_gone_keeps_the_map_that_it_knows() -> None:
    async with cluster_harness() as cluster:
        await cluster.controller()
        await cluster.paired()
        version = await all_know(cluster, west=set(cluster.roles("west")))
        cluster.api.remove(PLANES, "physics")
        controller = cluster.controllers[0]
        await cluster.until(lambda: controller.cluster.world_map().planes == ())
        assert cluster.replicas.known("west").version == version
