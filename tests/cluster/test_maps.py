"""Two areas of a plane in a cluster: each knows the cell and the replicas of the other one, also after a loss."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from pairsim.model.labels import AREA_LABEL
from tests.cluster.watcher import Object
from tests.cluster.world import World, eventually, label, plane

pytestmark = pytest.mark.cluster

WEST, EAST = "twin-0", "twin-1"
PAIRS = (WEST, EAST)


@pytest.fixture(scope="module")
def twins(world: World) -> Iterator[World]:
    world.apply(plane("twin", areas=2))
    try:
        for name in PAIRS:
            world.areas.wait(f"{name} is there", lambda areas, name=name: name in areas, 60)
            world.redundant(name)
        yield world
    finally:
        world.kubectl("delete", "plane", "twin", "--cascade=foreground", "--timeout=60s", seconds=90)
        world.pods.wait("all are spares", lambda pods: not [p for p in pods.values() if label(p, AREA_LABEL)], 60)


def plane_status(world: World) -> Object:
    return dict(json.loads(world.kubectl("get", "plane", "twin", "-o", "json"))["status"])


def known(world: World, area: str) -> Object:
    """Returns what the active of an area knows of the map."""
    return world.get(world.role(area, "active"), "/v1/map")


def all_know(world: World) -> bool:
    """Returns whether plane, areas and replicas agree on the newest version, and on who simulates what."""
    version = plane_status(world)["version"]
    pairs = {name: {world.status(name)["active"], world.status(name)["passive"]} for name in PAIRS}
    for name in PAIRS:
        authority = known(world, name)
        replicas = {cell["area"]: {member["replica"] for member in cell["replicas"]} for cell in authority["cells"]}
        if (authority["version"], replicas) != (version, pairs) or world.status(name)["version"] != version:
            return False
    return True


def places(world: World) -> dict[str, tuple[int, object]]:
    return {name: (world.status(name)["number"], world.status(name)["cell"]) for name in PAIRS}


def test_areas_of_a_plane_know_each_other(twins: World) -> None:
    eventually("both know both", lambda: all_know(twins), 30)
    (west, west_cell), (east, east_cell) = places(twins).values()
    assert {west, east} == {1, 2}
    assert (west_cell, east_cell) == (
        {"min": [0, 0, 0], "max": [50, 100, 50]},
        {"min": [50, 0, 0], "max": [100, 100, 50]},
    )
    status = plane_status(twins)
    assert status["highestNumber"] == 2
    assert {c["type"]: c["status"] for c in status["conditions"]}["Covered"] == "True"


def test_the_neighbour_learns_of_the_pod_that_takes_the_place_of_a_deleted_one(twins: World) -> None:
    eventually("both know both", lambda: all_know(twins), 30)
    before, where, lost = plane_status(twins)["version"], places(twins), twins.role(EAST, "active")
    twins.kubectl("delete", "pod", lost.name, "--grace-period=0", "--force", "--wait=false")
    twins.areas.wait(
        "another pod is in its place",
        lambda areas: lost.name not in {areas[EAST]["status"]["active"], areas[EAST]["status"]["passive"]},
        60,
    )
    twins.redundant(EAST)
    eventually("both know both", lambda: all_know(twins), 30)
    assert lost.name not in json.dumps(known(twins, WEST))
    assert plane_status(twins)["version"] > before
    assert places(twins) == where


def test_a_new_controller_goes_on_with_the_version_also_if_it_was_wiped(twins: World) -> None:
    eventually("both know both", lambda: all_know(twins), 30)
    before, where = plane_status(twins)["version"], places(twins)
    wiped = '{"status": {"version": 0, "mapDigest": "", "highestNumber": 0}}'
    twins.kubectl("patch", "plane", "twin", "--subresource=status", "--type=merge", "-p", wiped)
    twins.kubectl("delete", "pod", "-l", "app.kubernetes.io/component=controller", "--timeout=60s", seconds=90)
    eventually("the version is higher", lambda: plane_status(twins)["version"] > before, 60)
    eventually("both know both", lambda: all_know(twins), 30)
    assert places(twins) == where
