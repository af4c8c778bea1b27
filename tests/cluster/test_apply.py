"""The objects that `kubectl apply` of an area creates, and the output of `kubectl` about them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from pairsim.model.labels import AREA_LABEL, ROLE_LABEL
from tests.cluster.report import Report
from tests.cluster.stream import Stream
from tests.cluster.world import World, endpoints, eventually

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("_number", range(5))
def test_an_area_ticks_soon_after_it_is_applied(
    world: World, new_area: Callable[..., str], report: Report, _number: int
) -> None:
    began = time.time()
    name = new_area()
    active = world.role(name, "active")
    tick = eventually("it ticks", lambda pod=active: world.get(pod, "/v1/status")["tick"], 10)
    # What asks is slower than what ticks: the ticks since the first are taken off.
    report.add("kubectl apply of an area to its first tick", time.time() - began - (tick - 1) / 20, "s")
    world.redundant(name)
    report.add("kubectl apply of an area to redundant", time.time() - began, "s")


def test_status_and_columns_show_the_pair(world: World, pair: str) -> None:
    active, passive = world.role(pair, "active"), world.role(pair, "passive")
    status = world.areas.wait(
        "the status is written", lambda areas: areas[pair]["status"] if areas[pair]["status"].get("tick") else None, 30
    )
    assert (status["active"], status["passive"]) == (active.name, passive.name)
    assert status["witness"] in {pod.name for pod in world.component("witness")}
    assert status["synced"] is True
    assert status["entities"] == 500
    assert status["observedGeneration"] == world.areas.objects[pair]["metadata"]["generation"]
    assert {c["type"]: c["status"] for c in status["conditions"]} == {
        "Ready": "True",
        "Redundant": "True",
        "Degraded": "False",
    }
    header, row = (line.split() for line in world.kubectl("get", "areas", pair).splitlines())
    assert header[:8] == ["NAME", "PLANE", "ACTIVE", "PASSIVE", "TERM", "TICK", "SYNCED", "ENTITIES"]
    assert row[2:4] == [active.name, passive.name]
    assert row[0] == pair


def test_the_pair_is_on_two_nodes_and_has_services_and_a_budget(world: World, pair: str) -> None:
    active, passive = world.role(pair, "active"), world.role(pair, "passive")
    assert active.node != passive.node
    for name, members in ((pair, active.addresses), (f"{pair}-any", active.addresses | passive.addresses)):
        eventually(
            f"Service {name} leads to {members}",
            lambda name=name, members=members: endpoints(world, name) == members,
            20,
        )
    budget = json.loads(world.kubectl("get", "pdb", pair, "-o", "json"))
    assert budget["spec"]["minAvailable"] == 1
    assert {e["reason"] for e in world.events(pair)} >= {"Founded", "Ready", "Redundant"}


def test_a_deleted_area_releases_its_pods_and_deletes_its_objects(world: World, new_area: Callable[..., str]) -> None:
    name = new_area()
    world.redundant(name)
    pods = {world.role(name, role).name for role in ("active", "passive")}
    world.kubectl("delete", "area", name, "--timeout=60s", seconds=90)
    world.pods.wait(
        "they are spares",
        lambda found: all(found[p]["metadata"]["labels"].get(ROLE_LABEL) == "spare" for p in pods if p in found),
        30,
    )
    assert all(AREA_LABEL not in world.pods.objects[p]["metadata"]["labels"] for p in pods)
    for kind in ("service", "pdb"):
        eventually(
            f"its {kind} is gone", lambda kind=kind: not world.kubectl("get", kind, name, "--ignore-not-found"), 30
        )


def test_commands_go_through_the_services(world: World, pair: str, report: Report) -> None:
    stream = Stream(world, pair)
    stream.until(1000)
    said = stream.stop()
    said.check()
    report.add("acknowledged command through a Service, median of a stream", said.p50 * 1000, "ms")
