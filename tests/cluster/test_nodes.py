"""Losses of nodes: a node that is cut off with its active, and a node that is drained."""

from __future__ import annotations

import pytest

from pairsim.model.labels import ROLE_LABEL
from tests.cluster.report import Report
from tests.cluster.stream import Stream
from tests.cluster.world import Pod, World, eventually, label, leader

pytestmark = pytest.mark.cluster


def test_an_active_behind_a_cut_is_replaced_and_steps_down_afterwards(world: World, pair: str, report: Report) -> None:
    active, passive = _active_without_its_witness(world, pair)
    stream = Stream(world, pair, node=passive.node)
    controllers = {pod.name: pod.node for pod in world.component("controller")}
    along = controllers[leader(world)] == active.node
    at = world.cluster.cut(active.node)
    try:
        took = "with the controller that works, " if along else ""
        report.add(f"node cut off {took}to the label swapped in the API server", world.swapped(pair, at, 60), "s")
        # The node cannot be asked: what is known of the pod there is that it leads no more.
        assert label(world.pods.objects[active.name], ROLE_LABEL) != "active"
        assert world.role(pair, "active").name == passive.name
    finally:
        world.cluster.mend(active.node)
    world.kubectl("wait", f"node/{active.node}", "--for=condition=Ready", "--timeout=60s")
    for name in ("simulator", "witness", "controller"):
        world.kubectl("rollout", "status", f"deployment/pairsim-{name}", "--timeout=120s", seconds=150)
    world.redundant(pair)
    stream.stop().check()
    if active.name in world.pods.objects:
        eventually("it has stepped down", lambda: world.get(active, "/v1/status")["role"] != "active", 30)


def test_a_drained_node_hands_over_before_it_goes(world: World, pair: str, report: Report) -> None:
    active = world.role(pair, "active")
    stay = next(node for node in _nodes(world) if node != active.node)
    stream = Stream(world, pair, node=stay)
    try:
        world.kubectl(
            "drain", active.node, "--delete-emptydir-data", "--ignore-daemonsets", "--timeout=150s", seconds=180,
        )  # fmt: skip
        world.redundant(pair)
        members = [world.role(pair, role) for role in ("active", "passive")]
        assert {pod.node for pod in members} == {stay}
    finally:
        world.kubectl("uncordon", active.node)
    said = stream.stop()
    said.check()
    report.add("longest wait for an acknowledgement over a drain of the active's node", said.longest, "s")


def _nodes(world: World) -> list[str]:
    return world.kubectl("get", "nodes", "-o", "jsonpath={.items[*].metadata.name}").split()


def _active_without_its_witness(world: World, pair: str) -> tuple[Pod, Pod]:
    """Arranges that the active's node holds no other vote, since the others can continue only then."""
    active, passive = world.role(pair, "active"), world.role(pair, "passive")
    assert active.node != passive.node
    witness = next(pod for pod in world.component("witness") if pod.name == world.status(pair)["witness"])
    if witness.node == active.node:
        world.swapped(pair, world.kill(active))
        world.redundant(pair)
    return world.role(pair, "active"), world.role(pair, "passive")
