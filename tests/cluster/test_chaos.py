"""Experiments with the resources of Chaos Mesh, which a fake carries out, and the verdict as a service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.cluster.fake_chaos_mesh import NO_NETEM, FakeChaosMesh
from tests.cluster.native.images import ROOT
from tests.cluster.native.sandbox import ClusterError
from tests.cluster.world import NAMESPACE, World, eventually, leader
from tests.fault_planting import PLANT_ON_IMPORT

pytestmark = pytest.mark.cluster

EXPERIMENTS = ROOT / "chaos" / "experiments"
COMPONENT = ROOT / "manifests" / "components" / "chaos"
RUN = "run-chaos"
PROMOTES_FIRST = """
MODULE = "pairsim_controller.plan.labels"
def plant(labels):
    right = labels.plan_labels
    def wrong(view):
        statuses = {n: s for n, p in view.processes.items() if (s := p.replica) is not None}
        active = labels._find_active(view, statuses)
        wanted = labels.Label(view.area, labels.Role.ACTIVE, active.term) if active else None
        if active and view.labels.get(active.replica) != wanted:
            return (labels.SetLabel(active.replica, wanted),)
        return right(view)
    labels.plan_labels = wrong
"""


@pytest.fixture
def chaos_mesh(world: World) -> Iterator[FakeChaosMesh]:
    for file in ("rbac.yaml", "verdict.yaml"):
        documents = list(yaml.safe_load_all((COMPONENT / file).read_text()))
        for document in documents:
            if document["kind"] == "Deployment":
                document["spec"]["template"]["spec"]["containers"][0]["image"] = "pairsim:dev"
        world.apply(*documents)
    made = FakeChaosMesh(world)
    try:
        made.open()
        yield made
    finally:
        made.close()
        for file in ("verdict.yaml", "rbac.yaml"):
            world.kubectl("delete", "-f", str(COMPONENT / file), "--ignore-not-found", "--timeout=60s", seconds=90)


@pytest.fixture
def promoting_first(world: World, pair: str) -> Iterator[None]:
    """Runs controllers with a planted fault; the cluster's own watch does not count its effects against other tests."""
    meta = {"name": "planted", "namespace": NAMESPACE}
    planted = {"sitecustomize.py": PROMOTES_FIRST + PLANT_ON_IMPORT}
    world.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": planted})
    container = {
        "name": "controller",
        "env": [{"name": "PYTHONPATH", "value": "/planted"}],
        "volumeMounts": [{"name": "planted", "mountPath": "/planted"}],
    }
    volume = {"name": "planted", "configMap": {"name": "planted"}}
    spec = {"template": {"spec": {"containers": [container], "volumes": [volume]}}}
    seen = len(world.roles.doubled)
    try:
        world.kubectl("patch", "deployment", "pairsim-controller", "--patch", json.dumps({"spec": spec}))
        rolled(world)
        yield
    finally:
        world.kubectl("rollout", "undo", "deployment/pairsim-controller")
        rolled(world)
        world.kubectl("delete", "configmap", "planted")
        world.redundant(pair)
        others = [told for told in world.roles.doubled[seen:] if pair not in told]
        world.roles.doubled[seen:] = others


def rolled(world: World) -> None:
    """Waits until the new controllers hold the lease; the old ones work until they end."""
    world.kubectl("rollout", "status", "deployment/pairsim-controller", "--timeout=120s", seconds=150)
    selected = ("-l", "app.kubernetes.io/component=controller", "-o", "jsonpath={.items[*].metadata.name}")

    def at_work() -> bool:
        names = world.kubectl("get", "pods", *selected).split()
        return len(names) == 2 and leader(world) in names

    eventually("the new controllers are at work", at_work, 60)


def run(world: World, *names: str) -> tuple[int, list[dict[str, Any]]]:
    """Runs `pairsim-chaos run --cluster` in a pod of its own; returns the exit code and the verdicts."""
    world.kubectl("delete", "pod", RUN, "--ignore-not-found", "--grace-period=0", "--force")
    files = {f"{name}.yaml": (EXPERIMENTS / f"{name}.yaml").read_text() for name in names}
    meta = {"name": RUN, "namespace": NAMESPACE}
    (deployment,) = (
        each for each in yaml.safe_load_all((COMPONENT / "verdict.yaml").read_text()) if each["kind"] == "Deployment"
    )
    spec = deployment["spec"]["template"]["spec"]
    words = ["pairsim-chaos", "run", "--cluster", "--json", "-", "--warm-up", "1", "--max-duration", "5"]
    (container,) = spec["containers"]
    container |= {"image": "pairsim:dev", "command": [*words, *(f"/experiments/{name}" for name in files)]}
    container["volumeMounts"].append({"name": "experiments", "mountPath": "/experiments"})
    del container["livenessProbe"]
    spec["volumes"].append({"name": "experiments", "configMap": {"name": RUN}})
    spec["restartPolicy"] = "Never"
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**meta, "labels": {"pairsim.io/client": "true"}},
        "spec": spec,
    }
    world.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": files}, pod)

    def ended() -> bool:
        return world.kubectl("get", "pod", RUN, "-o", "jsonpath={.status.phase}") in {"Succeeded", "Failed"}

    eventually("the experiments have ended", ended, 150)
    said = world.kubectl("logs", RUN)
    code = world.kubectl("get", "pod", RUN, "-o", "jsonpath={.status.containerStatuses[0].state.terminated.exitCode}")
    assert said.startswith("{"), said
    return int(code), json.loads(said)["experiments"]


def test_experiments_are_run_judged_and_cleaned_up(world: World, pair: str, chaos_mesh: FakeChaosMesh) -> None:
    code, verdicts = run(world, "kill-active", "delay-active", "stress-cpu-active")
    killed, delayed, stressed = verdicts
    assert killed["held"], killed
    assert len(killed["targets"]) == 1
    assert [seen["before"] for seen in killed["takeovers"]] == killed["targets"]
    assert all(check["held"] for check in killed["checks"])
    assert NO_NETEM in delayed["failed"]
    assert "by hand" not in delayed["failed"]
    assert "install Chaos Mesh" in stressed["refused"]
    assert code == 1
    kinds = "podchaos.chaos-mesh.org,networkchaos.chaos-mesh.org,podnetworkchaos.chaos-mesh.org"
    left = world.kubectl("get", kinds, "-o", "name")
    assert left == ""
    assert world.role(pair, "active").name not in killed["targets"]


def test_the_verdict_finds_labels_that_are_swapped_in_the_wrong_order(
    world: World, pair: str, chaos_mesh: FakeChaosMesh, promoting_first: None
) -> None:
    code, (killed,) = run(world, "container-kill-active")  # its pod, and the label on it, stay
    wrong = {check["name"]: check["reasons"] for check in killed["checks"] if not check["held"]}
    assert code == 1
    assert wrong.keys() == {"one pod labelled active"}, killed
    assert "labelled active at the same moment" in wrong["one pod labelled active"][0]


def test_the_verdict_server_answers_status_checks(world: World, pair: str, chaos_mesh: FakeChaosMesh) -> None:
    ask = (
        "import urllib.request as u\n"
        "try: print(u.urlopen('http://pairsim-verdict:8080/verdict', timeout=5).status)\n"
        "except Exception as error: print(getattr(error, 'code', error))"
    )

    def told() -> str:
        try:
            return world.kubectl("exec", "deployment/pairsim-verdict", "--", "python", "-c", ask).strip()
        except ClusterError as error:
            return str(error)

    world.redundant(pair)
    eventually("the verdict is good", lambda: told() == "200", 120)
