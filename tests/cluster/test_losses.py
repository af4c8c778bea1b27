"""Losses of processes and pods under load: no command is lost, labels follow, and redundancy returns."""

from __future__ import annotations

import signal
import time

import pytest

from pairsim.model.labels import AREA_LABEL, ROLE_LABEL
from tests.cluster.report import Report
from tests.cluster.stream import Stream
from tests.cluster.world import World, eventually, label

pytestmark = pytest.mark.cluster

KILLS, DELETIONS = 10, 5
LOSS = "leader loss to the label swapped in the API server"
BACK = "redundancy back after a pod loss with a warm spare"


def test_the_actives_process_is_killed_repeatedly(world: World, pair: str, report: Report) -> None:
    stream = Stream(world, pair)
    for _ in range(KILLS):
        world.redundant(pair)
        active, passive = world.role(pair, "active"), world.role(pair, "passive")
        at = world.kill(active)
        report.add(LOSS, world.swapped(pair, at), "s")
        assert world.role(pair, "active").name == passive.name
        # The kubelet restarts what dies often more and more slowly: a new pod in its place is there at once.
        world.kubectl("delete", "pod", active.name, "--grace-period=0", "--force", "--wait=false")
    world.redundant(pair)
    said = stream.stop()
    said.check()
    report.add("longest wait for an acknowledgement over ten kills of the active", said.longest, "s")
    takeover = world.status(pair)["lastTakeover"]
    assert takeover["reason"] == "Takeover"
    assert takeover["ticksLost"] == 0
    assert "Takeover" in {event["reason"] for event in world.events(pair)}


def test_the_actives_pod_is_deleted_at_once(world: World, pair: str, report: Report) -> None:
    stream = Stream(world, pair)
    for _ in range(DELETIONS):
        world.redundant(pair)
        active = world.role(pair, "active")
        at = time.time()
        world.kubectl("delete", "pod", active.name, "--grace-period=0", "--force", "--wait=false")
        world.swapped(pair, at)
        world.pods.wait(
            "two others are the pair",
            lambda pods, gone=active.name: (
                sorted(label(p, ROLE_LABEL) for n, p in pods.items() if label(p, AREA_LABEL) == pair and n != gone)
                == ["active", "passive"]
            ),
            60,
        )
        world.condition(pair, "Redundant")
        report.add(BACK, time.time() - at, "s")
        world.kubectl("rollout", "status", "deployment/pairsim-simulator", "--timeout=60s", seconds=90)
    stream.stop().check()


def test_the_actives_pod_is_deleted_gently(world: World, pair: str, report: Report) -> None:
    stream = Stream(world, pair)
    active = world.role(pair, "active")
    world.kubectl("delete", "pod", active.name, "--timeout=60s", seconds=90)
    world.redundant(pair)
    said = stream.stop()
    said.check()
    report.add("longest wait for an acknowledgement over a pod's orderly deletion", said.longest, "s")
    assert world.status(pair)["lastTakeover"]["reason"] == "Switchover"


def test_the_passives_process_is_killed(world: World, pair: str) -> None:
    stream = Stream(world, pair)
    active, passive = world.role(pair, "active"), world.role(pair, "passive")
    world.kill(passive)
    world.condition(pair, "Redundant", "False")
    world.redundant(pair)
    assert world.role(pair, "active").name == active.name
    stream.stop().check()


def test_the_witness_is_lost_with_its_pod(world: World, pair: str) -> None:
    stream = Stream(world, pair)
    lost = world.status(pair)["witness"]
    world.kubectl("delete", "pod", lost, "--grace-period=0", "--force", "--wait=false")
    world.areas.wait("another witness votes", lambda areas: areas[pair]["status"]["witness"] not in {"", lost}, 60)
    world.redundant(pair)
    # The third vote is worth something: with it, the area outlives its active.
    world.swapped(pair, world.kill(world.role(pair, "active")))
    world.redundant(pair)
    stream.stop().check()


def test_the_active_hangs(world: World, pair: str, report: Report) -> None:
    stream = Stream(world, pair)
    active = world.role(pair, "active")
    at = world.kill(active, signal.SIGSTOP)
    report.add("hung active to the label swapped in the API server", world.swapped(pair, at), "s")
    world.kill(active, signal.SIGCONT)
    world.redundant(pair)
    assert label(world.pods.objects[active.name], ROLE_LABEL) != "active"
    stream.stop().check()


def test_both_replicas_processes_are_killed_and_continue_from_their_disks(world: World, pair: str) -> None:
    stream = Stream(world, pair)
    members = [world.role(pair, role) for role in ("active", "passive")]
    before = world.get(members[0], "/v1/status")["tick"]
    for pod in members:
        world.kill(pod)
    eventually("it ticks on", lambda: _tick(world, pair) > before, 60)
    world.redundant(pair)
    stream.stop().check()


def _tick(world: World, pair: str) -> int:
    return int(world.status(pair).get("tick", 0))
