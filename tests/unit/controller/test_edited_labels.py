"""Labels of pods that somebody edits by hand: they are put right, and no Service ever selects two actives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pairsim_controller.kube.api.port import PODS
from tests.unit.controller.cluster_harness import ClusterHarness, cluster_harness
from tests.unit.controller.test_pods import base_labels

Labels = dict[str, str]

EDITS: dict[str, Callable[[Labels], object]] = {
    "part-of is removed": lambda labels: labels.pop("app.kubernetes.io/part-of"),
    "part-of is another": lambda labels: labels.update({"app.kubernetes.io/part-of": "x"}),
    "component is removed": lambda labels: labels.pop("app.kubernetes.io/component"),
    "component is another": lambda labels: labels.update({"app.kubernetes.io/component": "witness"}),
    "name is removed": lambda labels: labels.pop("app.kubernetes.io/name"),
    "area is removed": lambda labels: labels.pop("pairsim.io/area", None),
    "role is removed": lambda labels: labels.pop("pairsim.io/role", None),
    "role is nonsense": lambda labels: labels.update({"pairsim.io/role": "queen"}),
    "all are removed": lambda labels: labels.clear(),
}


def edit(cluster: ClusterHarness, name: str, change: Callable[[Labels], object]) -> None:
    cluster.api.change(PODS, name, lambda pod: change(pod["metadata"]["labels"]))


def labels(cluster: ClusterHarness, name: str) -> Any:
    return cluster.api.get(PODS, name)["metadata"]["labels"]


CASES = [("sim-1", what) for what in EDITS]
CASES += [(name, "all are removed") for name in ("sim-2", "sim-3", "witness-1")] + [("witness-1", "part-of is removed")]


@pytest.mark.parametrize(("name", "what"), CASES)
async def test_edited_labels_are_put_right(name: str, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The active, the passive, the spare and the witness; the API server in memory refuses two actives."""
    monkeypatch.setattr("pairsim_controller.kube.cluster.STATUS_DELAY_SECONDS", 0.0)
    async with cluster_harness() as cluster:
        await cluster.controller()
        await cluster.paired()
        await cluster.until(lambda: cluster.label("sim-3")[0] == "spare")
        before = labels(cluster, name)
        edit(cluster, name, EDITS[what])
        await cluster.until(lambda: labels(cluster, name).items() >= before.items())


async def test_an_active_whose_labels_were_edited_is_demoted_when_it_is_lost() -> None:
    async with cluster_harness() as cluster:
        await cluster.controller()
        await cluster.paired()
        edit(cluster, "sim-1", EDITS["part-of is removed"])
        cluster.replicas.lead("west", "sim-2")
        await cluster.until(lambda: cluster.roles("west") == {"sim-1": "passive", "sim-2": "active"})


async def test_a_controller_that_starts_sees_a_pod_whose_labels_were_edited() -> None:
    async with cluster_harness() as cluster:
        first = await cluster.controller()
        await cluster.paired()
        await first.stop()
        edit(cluster, "sim-1", EDITS["part-of is removed"])
        cluster.replicas.lead("west", "sim-2")
        await cluster.controller()
        await cluster.until(lambda: cluster.roles("west") == {"sim-1": "passive", "sim-2": "active"})
        await cluster.until(lambda: labels(cluster, "sim-1").items() >= base_labels("simulator").items())


async def test_right_labels_cause_no_writes() -> None:
    async with cluster_harness() as cluster:
        await cluster.controller()
        await cluster.paired()
        edit(cluster, "sim-1", EDITS["name is removed"])
        await cluster.until(lambda: labels(cluster, "sim-1").items() >= base_labels("simulator").items())
        writes = cluster.api.counted()["pods"]
        for name in ("sim-1", "sim-2", "sim-3"):
            cluster.api.change(PODS, name, lambda pod: pod["metadata"]["labels"].update(mine="x"))
        cluster.replicas.lead("west", "sim-2")
        await cluster.until(lambda: cluster.roles("west") == {"sim-1": "passive", "sim-2": "active"})
        assert cluster.api.counted()["pods"] == writes + 2, "the demotion and the promotion"


async def test_pods_of_other_programs_are_not_kept() -> None:
    async with cluster_harness() as cluster:
        controller = await cluster.controller()
        await cluster.paired()
        for name, container, own in (
            ("web-1", "web", base_labels("simulator")),
            ("other-1", "simulator", {"app.kubernetes.io/part-of": "x", "app.kubernetes.io/component": "simulator"}),
            ("plain-1", "simulator", {}),
        ):
            pod = {"metadata": {"name": name, "labels": own}, "spec": {"containers": [{"name": container}]}}
            cluster.api.put(PODS, pod)
        await cluster.pod("sim-4")
        await cluster.until(lambda: cluster.label("sim-4")[0] == "spare")
        kept = {pod.metadata.name for pod in controller.cluster._cache.pods}
        assert kept == {"sim-1", "sim-2", "sim-3", "sim-4", "witness-1"}
