"""Two areas of a world that know each other: where they are, and which replicas they have now."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator

import msgspec
import pytest

from pairsim.model.authority import Authority, Cell, PlaneMap, WorldMap
from pairsim.model.world_status import AreaStatusView
from tests.process.world.running_worlds import RunningWorld, until

WORLD = """
apiVersion: pairsim.io/v1alpha1
kind: Plane
metadata: {name: physics}
spec:
  simulator: physics
  bounds: {min: [0, 0, 0], max: [1000, 1000, 1000]}
---
apiVersion: pairsim.io/v1alpha1
kind: Area
metadata: {name: west}
spec:
  plane: physics
  bounds: {min: [0, 0, 0], max: [500, 1000, 1000]}
  entities: 5
---
apiVersion: pairsim.io/v1alpha1
kind: Area
metadata: {name: east}
spec:
  plane: physics
  bounds: {min: [600, 0, 0], max: [1000, 1000, 1000]}
  entities: 5
"""
GAP = "plane physics: no area has x in [500, 600); what moves there stays with the area that it comes from"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorld]:
    made = RunningWorld(tmp_path_factory.mktemp("maps"))
    made.file.write_text(WORLD)
    made.start()
    made.wait_for("the world is ready: .*")
    yield made
    made.close()


def newest(world: RunningWorld) -> PlaneMap:
    """Returns the map of the plane as the controller has it."""
    with urllib.request.urlopen(f"http://127.0.0.1:{world.port}/v1/map", timeout=20) as answer:
        (found,) = msgspec.json.decode(answer.read(), type=WorldMap).planes
    return found


def known(url: str) -> Authority:
    """Returns what a replica knows of the map."""
    with urllib.request.urlopen(f"{url}/v1/map", timeout=20) as answer:  # noqa: S310 - a process of the test's world
        return msgspec.json.decode(answer.read(), type=Authority)


def area(world: RunningWorld, name: str) -> AreaStatusView:
    return next(each for each in world.status().areas if each.area == name)


def wait_until_all_know_all(world: RunningWorld) -> dict[str, Cell]:
    """Waits until both areas are redundant and each replica knows the newest map; returns its cells by area."""

    def look() -> dict[str, Cell] | None:
        areas, cells = world.status().areas, {cell.area: cell for cell in newest(world).cells}
        for each in areas:
            if not each.redundant or {r.replica: r.url for r in each.replicas} != addresses(cells[each.area]):
                return None
        found = [known(replica.url) for each in areas for replica in each.replicas]
        return cells if all(one.cells == tuple(cells.values()) for one in found) else None

    return until(look, "all replicas know the replicas of both areas", world.messages)


def addresses(cell: Cell) -> dict[str, str]:
    return {member.replica: member.url for member in cell.replicas}


def test_two_areas_know_the_cells_and_the_replicas_of_each_other(world: RunningWorld) -> None:
    cells = wait_until_all_know_all(world)
    assert {name: (cell.bounds.min[0], cell.bounds.max[0]) for name, cell in cells.items()} == {
        "west": (0.0, 500.0),
        "east": (600.0, 1000.0),
    }
    for name in ("west", "east"):
        for replica in area(world, name).replicas:
            assert known(replica.url).number == cells[name].number


def test_a_place_without_an_area_is_told_once(world: RunningWorld) -> None:
    world.wait_for(".*no area has x in .*")
    assert world.messages().count(GAP) == 1


@pytest.mark.parametrize("role", ["active", "passive"])
def test_a_replaced_replica_is_known_to_the_neighbour(world: RunningWorld, role: str) -> None:
    wait_until_all_know_all(world)
    before, lost = newest(world), next(r for r in area(world, "east").replicas if r.role == role)
    assert world.run("kill", "east", "--role", role).startswith(f"killed {lost.replica}, ")
    neighbour = area(world, "west").replicas[0]

    def look() -> Authority | None:
        authority = known(neighbour.url)
        east = next(cell for cell in authority.cells if cell.area == "east")
        return authority if lost.replica not in addresses(east) else None

    authority = until(look, "the neighbour knows the replica that took its place", world.messages)
    assert authority.version > before.version
    assert [(c.area, c.number, c.bounds) for c in authority.cells] == [
        (c.area, c.number, c.bounds) for c in before.cells
    ]


def test_a_world_that_is_started_again_goes_on_with_its_numbers_and_a_higher_version(world: RunningWorld) -> None:
    numbers, before = {name: cell.number for name, cell in wait_until_all_know_all(world).items()}, newest(world)
    assert world.process is not None
    world.process.terminate()
    assert world.wait_for_exit() == 0
    world.start()
    world.wait_for("the world is ready: .*")
    assert {name: cell.number for name, cell in wait_until_all_know_all(world).items()} == numbers
    assert newest(world).version >= before.version
