"""Losses of the control plane (API server, controllers): pairs take over without it, and labels catch up afterwards."""

from __future__ import annotations

import time

import pytest

from tests.cluster.report import Report
from tests.cluster.stream import Stream
from tests.cluster.world import Pod, World, leader, ready

pytestmark = pytest.mark.cluster

AWAY_SECONDS = 60.0


def test_pairs_take_over_while_the_api_server_is_stopped(world: World, pair: str, report: Report) -> None:
    stream = Stream(world, pair)
    active, passive = world.role(pair, "active"), world.role(pair, "passive")
    world.cluster.stop_api()
    began = time.monotonic()
    try:
        at = world.kill(active)
        # Nobody can be asked meanwhile: the minute is what an outage is.
        time.sleep(max(0.0, AWAY_SECONDS - (time.monotonic() - began)))
    finally:
        back = time.time()
        world.cluster.start_api()
    world.swapped(pair, at, 60)
    report.add("API server back to labels that are true again", time.time() - back, "s")
    # Kubelets list their pods again after a pause that grew meanwhile, to a minute or so; until then a pod counts as
    # what the node controller made of their silence.
    world.pods.wait("the new active is Ready again", lambda pods: ready(pods[passive.name]), 180)
    assert world.role(pair, "active").name == passive.name
    world.redundant(pair)
    said = stream.stop()
    said.check()
    report.add("longest wait for an acknowledgement, active killed without an API server", said.longest, "s")


def test_a_controller_is_killed_during_a_change(world: World, pair: str, report: Report) -> None:
    stream = Stream(world, pair)
    for _ in range(3):
        world.redundant(pair)
        active = world.role(pair, "active")
        controller = _controller(world)
        at = world.kill(active)
        world.kill(controller)
        report.add("leader loss to the label swapped, the controller lost with it", world.swapped(pair, at, 60), "s")
        world.redundant(pair)
    stream.stop().check()


def test_both_controllers_lose_the_lease(world: World, pair: str) -> None:
    stream = Stream(world, pair)
    holder = leader(world)
    world.kubectl("delete", "lease", "pairsim-controller")
    at = world.kill(world.role(pair, "active"))
    # One that was killed a moment ago may wait for its restart still: it is as dead as it is going to be.
    for pod in world.component("controller"):
        if ready(world.pods.objects[pod.name]):
            world.kill(pod)
    world.swapped(pair, at, 90)
    world.redundant(pair)
    assert leader(world), holder
    stream.stop().check()


def test_a_paused_area_is_not_repaired(world: World, pair: str) -> None:
    world.kubectl("annotate", "area", pair, "pairsim.io/paused=true")
    lost = world.role(pair, "passive")
    world.kubectl("delete", "pod", lost.name, "--grace-period=0", "--force", "--wait=false")
    world.condition(pair, "Redundant", "False")
    generation = world.status(pair)["generation"]
    # Labels are told all the same; nobody is given the place.
    time.sleep(3)
    assert world.status(pair)["generation"] == generation
    world.kubectl("annotate", "area", pair, "pairsim.io/paused-")
    world.redundant(pair)


def _controller(world: World) -> Pod:
    name = leader(world)
    return next(pod for pod in world.component("controller") if pod.name == name)
