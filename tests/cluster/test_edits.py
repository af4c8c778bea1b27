"""Edits of the cluster's objects by hand, and pods that come back elsewhere: the world goes on and puts them right."""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Iterator

import pytest

from pairsim.model.labels import AREA_LABEL, NAME_LABEL, PART_OF_LABEL, ROLE_LABEL, SECRET_NAME, SIMULATOR_COMPONENT
from tests.cluster.report import Report
from tests.cluster.stream import Stream
from tests.cluster.watcher import Object, Watcher
from tests.cluster.world import NAMESPACE, Pod, World

pytestmark = pytest.mark.cluster

POOL = "deployment/pairsim-simulator"
QUOTA = "no-more-pods"


class Selected:
    """The pods that the Service of an area selects, seen by a watch with the Service's own selector."""

    def __init__(self, world: World, area: str) -> None:
        selector = f"{AREA_LABEL}={area},{ROLE_LABEL}=active"
        self.most = 0
        self._watcher = Watcher(world.cluster.kubectl_command, "pods", "-n", NAMESPACE, "-l", selector)
        self._watcher.each(self._saw)
        self._watcher.start()

    def wait(self) -> None:
        """Waits until the Service selects a pod."""
        self._watcher.wait("a pod is selected", lambda pods: pods, 30)

    def close(self) -> None:
        self._watcher.close()

    def _saw(self, _at: float, _event: str, _pod: Object) -> None:
        self.most = max(self.most, len(self._watcher.objects))


@pytest.fixture
def selected(world: World, pair: str) -> Iterator[Selected]:
    made = Selected(world, pair)
    try:
        made.wait()
        yield made
    finally:
        made.close()


@pytest.fixture
def renewed(world: World, pair: str) -> Iterator[None]:
    """Replaces pods whose processes ended, since the kubelet restarts these later each time."""
    yield
    for name, pod in list(world.pods.objects.items()):
        if any(each["restartCount"] for each in pod["status"].get("containerStatuses", [])):
            world.kubectl("delete", "pod", name, "--timeout=60s", seconds=90)
    world.redundant(pair)


@pytest.fixture
def pool_of_two(world: World, pair: str, renewed: None) -> Iterator[None]:
    """Takes all spares away, and returns them."""
    try:
        _scale(world, 2)
        world.pods.wait("the spares are gone", lambda _pods: len(world.component("simulator")) == 2, 90)
        world.redundant(pair)
        yield
    finally:
        world.kubectl("delete", "resourcequota", QUOTA, "--ignore-not-found")
        _scale(world, 5)
        world.kubectl("rollout", "status", POOL, "--timeout=90s", seconds=120)


@pytest.mark.parametrize("label", [PART_OF_LABEL, NAME_LABEL, ROLE_LABEL, AREA_LABEL])
def test_an_active_whose_labels_were_edited_is_one_active_when_it_is_lost(
    world: World, pair: str, renewed: None, selected: Selected, label: str
) -> None:
    active = world.role(pair, "active")
    before = world.pods.objects[active.name]["metadata"]["labels"][label]
    world.kubectl("label", "pod", active.name, f"{label}-")
    at = world.kill(active)
    world.swapped(pair, at)
    world.redundant(pair)
    assert selected.most == 1
    if label not in (ROLE_LABEL, AREA_LABEL):
        found = world.kubectl("get", "pods", "-o", "json", "--field-selector", f"metadata.name={active.name}")
        assert {p["metadata"]["labels"].get(label) for p in json.loads(found)["items"]} <= {before}


@pytest.mark.parametrize("moved", [("passive",), ("passive", "witness"), ("active", "passive")], ids="-".join)
def test_members_that_come_back_at_other_addresses_are_redundant_again(
    world: World, pair: str, pool_of_two: None, report: Report, moved: tuple[str, ...]
) -> None:
    """Without spares, so that the pods that moved are the members again."""
    members = [_member(world, pair, role) for role in moved]
    began = time.time()
    for pod in members:
        world.cluster.move(pod.node, pod.uid, pod.component)
    world.condition(pair, "Redundant", "False")
    world.redundant(pair, 90)
    report.add("pods that come back at other addresses to redundant", time.time() - began, "s")
    assert all(Pod.of(world.pods.objects[pod.name]).address != pod.address for pod in members)
    replicas = {pod.name for pod in members if pod.component == SIMULATOR_COMPONENT}
    assert replicas <= {world.role(pair, role).name for role in ("active", "passive")}


def test_a_quota_that_keeps_pods_out_is_named_by_the_area(
    world: World, pair: str, pool_of_two: None, report: Report
) -> None:
    meta = {"name": QUOTA, "namespace": NAMESPACE}
    world.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": {"hard": {"pods": "0"}}})
    began = time.time()
    lost = world.role(pair, "passive")
    world.kubectl("delete", "pod", lost.name, "--grace-period=0", "--force", "--wait=false")
    said = world.areas.wait("the area names the quota", lambda areas: _blocked(areas[pair]), 60)
    report.add("a pod is lost under a quota to the area's condition that names it", time.time() - began, "s")
    assert QUOTA in said
    assert "exceeded quota" in said
    world.kubectl("delete", "resourcequota", QUOTA)
    _scale(world, 5)
    world.redundant(pair, 90)


def test_the_shared_secret_is_replaced_without_a_stop(world: World, pair: str, report: Report) -> None:
    """Follows docs/kubernetes.md, "Replace the shared secret"."""
    stream = Stream(world, pair)
    old = world.kubectl("get", "secret", SECRET_NAME, "-o", "jsonpath={.data.secret}")
    new = base64.b64encode(secrets.token_hex(32).encode()).decode()
    began = time.time()
    for data in ({"secret": new, "previous-secret": old}, {"previous-secret": None}):
        world.kubectl("patch", "secret", SECRET_NAME, "-p", json.dumps({"data": data}))
        world.kubectl("rollout", "restart", POOL, "deployment/pairsim-witness")
        for name in ("simulator", "witness"):
            world.kubectl("rollout", "status", f"deployment/pairsim-{name}", "--timeout=240s", seconds=270)
    world.redundant(pair)
    report.add("replacing the shared secret, with two rolling updates", time.time() - began, "s")
    said = stream.stop()
    said.check()
    report.add("longest wait for an acknowledgement while the shared secret is replaced", said.longest, "s")


def _member(world: World, area: str, role: str) -> Pod:
    if role != "witness":
        return world.role(area, role)
    return next(pod for pod in world.component("witness") if pod.name == world.status(area)["witness"])


def _blocked(area: Object) -> str:
    conditions = area.get("status", {}).get("conditions", [])
    found = [c["message"] for c in conditions if c["type"] == "Redundant" and c["reason"] == "PoolBlocked"]
    return found[0] if found else ""


def _scale(world: World, replicas: int) -> None:
    world.kubectl("scale", POOL, f"--replicas={replicas}")
