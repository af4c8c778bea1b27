"""Why a pool lacks pods: from the conditions of its Deployment and of its pods to the area that waits for one."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pairsim_controller.kube.api.objects import DeploymentObject, Pod
from pairsim_controller.kube.api.port import DEPLOYMENTS, PODS
from pairsim_controller.kube.pool_problems import PoolProblems
from pairsim_controller.plan.view import Kind
from tests.unit.controller.cluster_harness import ClusterHarness, cluster_harness
from tests.unit.controller.test_pods import base_labels

FORBIDDEN = 'pods "pairsim-simulator-5f7-x2k5q" is forbidden: exceeded quota: small, used: pods=3, limited: pods=3'
QUOTA = "the Deployment pairsim-simulator cannot create pods: exceeded quota: small, used: pods=3, limited: pods=3"


def failing(message: str = FORBIDDEN, status: str = "True", kind: str = "simulator") -> dict[str, Any]:
    """A Deployment with the conditions that Kubernetes writes when pods are refused."""
    conditions = [
        {"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable", "message": "it has none"},
        {"type": "ReplicaFailure", "status": status, "reason": "FailedCreate", "message": message},
    ]
    metadata = {"name": f"pairsim-{kind}", "labels": base_labels(kind)}
    return {"metadata": metadata, "spec": {}, "status": {"conditions": conditions}}


def pod(name: str = "sim-1", *, waiting: str = "", **condition: str) -> Pod:
    state = {"waiting": {"reason": waiting, "message": "Back-off pulling image"}} if waiting else {"running": {}}
    body = {
        "metadata": {"name": name, "labels": base_labels("simulator")},
        "spec": {"containers": [{"name": "simulator"}]},
        "status": {
            "phase": "Pending",
            "conditions": [{"type": "PodScheduled", **condition}] if condition else [],
            "containerStatuses": [{"name": "simulator", "state": state}],
        },
    }
    return msgspec.convert(body, Pod)


def unschedulable(name: str = "sim-1", message: str = "0/2 nodes are available: 2 Insufficient cpu.") -> Pod:
    return pod(name, status="False", reason="Unschedulable", message=message)


class Problems(PoolProblems):
    """The problems, and the kinds that changed."""

    def __init__(self) -> None:
        self.changed: list[Kind] = []
        super().__init__(self.changed.append)

    def deployment(self, body: dict[str, Any] | None) -> None:
        found = msgspec.convert(body, DeploymentObject) if body is not None else None
        self.on_deployment("pairsim-simulator", found)


def test_a_refused_pod_is_the_problem_of_its_kind_until_it_is_created() -> None:
    found = Problems()
    found.deployment(failing())
    assert (found.message(Kind.SIMULATOR), found.message(Kind.WITNESS)) == (QUOTA, "")
    found.deployment(failing(FORBIDDEN.replace("x2k5q", "other")))
    found.deployment(failing(FORBIDDEN.replace("pods=3", "pods=2")))
    assert found.message(Kind.SIMULATOR) == QUOTA, "numbers that change while it lasts are no news"
    found.deployment(failing(status="False"))
    assert found.message(Kind.SIMULATOR) == ""
    found.deployment(failing())
    found.deployment(None)
    assert found.message(Kind.SIMULATOR) == ""
    assert found.changed == [Kind.SIMULATOR] * 4


@pytest.mark.parametrize(
    ("seen", "message"),
    [
        (unschedulable(), "no node can take the pod sim-1: 0/2 nodes are available: 2 Insufficient cpu."),
        (pod(waiting="ImagePullBackOff"), "the pod sim-1 does not start: ImagePullBackOff: Back-off pulling image"),
        (pod(waiting="ContainerCreating"), ""),
        (pod(status="True"), ""),
        (pod(), ""),
    ],
)
def test_a_pod_that_cannot_run_is_a_problem(seen: Pod, message: str) -> None:
    found = Problems()
    found.on_pod("sim-1", seen)
    assert found.message(Kind.SIMULATOR) == message
    found.on_pod("sim-1", None)
    assert found.message(Kind.SIMULATOR) == ""
    assert found.changed == [Kind.SIMULATOR] * (2 if message else 0)


def test_one_problem_speaks_for_many() -> None:
    found = Problems()
    for number in range(3):
        found.on_pod(f"sim-{number}", unschedulable(f"sim-{number}"))
    assert found.changed == [Kind.SIMULATOR]
    found.on_pod("sim-2", None)
    assert found.changed == [Kind.SIMULATOR]
    found.on_pod("sim-0", pod("sim-0"))
    assert "sim-1" in found.message(Kind.SIMULATOR)


def redundant(cluster: ClusterHarness) -> tuple[str, str]:
    condition = cluster.status("west").condition("Redundant")
    return (condition.reason, condition.message) if condition is not None else ("", "")


@pytest.fixture
def without_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pairsim_controller.reconcile.warning_debouncer.REPORT_AFTER_SECONDS", 0.0)
    monkeypatch.setattr("pairsim_controller.kube.area_writer._STARTUP_SECONDS", 0.0)


@pytest.mark.usefixtures("without_delays")
async def test_an_area_that_waits_names_the_quota_until_a_pod_comes() -> None:
    async with cluster_harness(simulators=2) as cluster:
        await cluster.controller()
        await cluster.paired()
        await cluster.lose("sim-2")
        await cluster.until(lambda: redundant(cluster)[0] == "PassiveNotInSync")
        cluster.api.put(DEPLOYMENTS, failing())
        await cluster.until(lambda: redundant(cluster) == ("PoolBlocked", f"sim-2 cannot be reached; {QUOTA}"))
        await cluster.until(lambda: any(r == "Waiting" and QUOTA in note for _a, r, note in cluster.api.events))
        cluster.api.put(DEPLOYMENTS, failing(status="False"))
        await cluster.until(lambda: redundant(cluster)[0] == "PassiveNotInSync")
        await cluster.pod("sim-3")
        await cluster.until(lambda: redundant(cluster)[0] == "InSync")


@pytest.mark.usefixtures("without_delays")
async def test_an_area_that_has_not_begun_names_the_pod_that_no_node_takes() -> None:
    async with cluster_harness(simulators=1) as cluster:
        body = msgspec.to_builtins(unschedulable("sim-2"))
        body["metadata"] = {"name": "sim-2", "labels": base_labels("simulator")}
        cluster.api.put(PODS, body)
        await cluster.controller()
        await cluster.until(lambda: redundant(cluster)[0] == "PoolBlocked")
        ready = cluster.status("west").condition("Ready")
        assert ready is not None
        assert "no node can take the pod sim-2: 0/2 nodes are available" in ready.message
