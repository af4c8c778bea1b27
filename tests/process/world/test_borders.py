"""What an operator sees of borders: crossings, the balance, and an area from which nothing is heard."""

from __future__ import annotations

import os
import re
import signal
import urllib.request
from collections.abc import Iterator

import pytest

from pairsim.model.world_status import AreaStatusView, WorldStatus
from tests.harness import ROOT
from tests.process.world.running_worlds import RunningWorld, until

ENTITIES = 4_000


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorld]:
    made = RunningWorld(tmp_path_factory.mktemp("world"))
    made.file.write_text((ROOT / "examples" / "two-areas.yaml").read_text())
    made.start()
    made.wait_for("the world is ready: .*")
    yield made
    made.close()


def area(world: WorldStatus, name: str) -> AreaStatusView:
    return next(area for area in world.areas if area.area == name)


def metrics(world: RunningWorld, of: str) -> str:
    active = next(r for r in area(world.status(), of).replicas if r.role == "active")
    with urllib.request.urlopen(f"{active.url}/metrics", timeout=20) as answer:  # noqa: S310 - a process of this test
        return str(answer.read().decode())


def test_crossings_are_counted_and_every_entity_is_accounted_for(world: RunningWorld) -> None:
    def look() -> WorldStatus | None:
        seen = world.status()
        borders = [each.borders for each in seen.areas]
        crossed = all(b is not None and b.sent and b.taken and b.out_per_second and b.in_per_second for b in borders)
        return seen if crossed and seen.balances else None

    seen = until(look, "entities have crossed both ways", world.messages)
    (balance,) = seen.balances
    assert (balance.plane, balance.born, balance.died, balance.unaccounted) == ("physics", ENTITIES, 0, 0)
    assert balance.present + balance.on_their_way == ENTITIES
    west = area(seen, "west")
    assert west.borders is not None
    (neighbour,) = west.borders.neighbours
    assert (neighbour.area, neighbour.number, neighbour.connected) == ("east", area(seen, "east").number, True)
    told = metrics(world, "west")
    for direction in ("in", "out"):
        found = re.search(rf'pairsim_crossings_total{{.*direction="{direction}".*neighbour="east"}} (\S+)', told)
        assert found is not None, told
        assert float(found[1]) > 0
    handed = re.search(r"pairsim_handover_seconds_count{.*} (\S+)", told)
    assert handed is not None
    assert float(handed[1]) > 0


def test_entities_that_wait_for_an_area_are_told_and_the_end_of_it(world: RunningWorld) -> None:
    pids = [replica.pid for replica in area(world.status(), "east").replicas]
    assert all(pids)
    since = len(world.messages())
    try:
        for pid in pids:
            os.kill(pid or 0, signal.SIGSTOP)
        world.wait_for(r"west: [\d,]+ entit(y|ies) waits? for east, which .*has taken nothing for \d+ s", since)
        waiting = area(world.status(), "west").borders
        assert waiting is not None
        assert waiting.waiting > 0
    finally:
        for pid in pids:
            os.kill(pid or 0, signal.SIGCONT)
    world.wait_for(r"west: entities go to east again after \d+ s", since)

    def even() -> bool:
        return any(balance.unaccounted == 0 and balance.born == ENTITIES for balance in world.status().balances)

    until(even, "every entity is accounted for again", world.messages)
