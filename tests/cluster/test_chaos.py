"""Experiments through the resources of Chaos Mesh, which a stand-in carries out, and the verdict as a service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.cluster.native.images import ROOT
from tests.cluster.native.sandbox import ClusterError
from tests.cluster.standin import NO_NETEM, StandIn
from tests.cluster.world import NAMESPACE, World, eventually

pytestmark = pytest.mark.cluster

EXPERIMENTS = ROOT / "chaos" / "experiments"
COMPONENT = ROOT / "manifests" / "components" / "chaos"
RUN = "run-chaos"


@pytest.fixture
def standin(world: World) -> Iterator[StandIn]:
    for file in ("rbac.yaml", "verdict.yaml"):
        documents = list(yaml.safe_load_all((COMPONENT / file).read_text()))
        for document in documents:
            if document["kind"] == "Deployment":
                document["spec"]["template"]["spec"]["containers"][0]["image"] = "pairsim:dev"
        world.apply(*documents)
    made = StandIn(world)
    try:
        made.open()
        yield made
    finally:
        made.close()
        for file in ("verdict.yaml", "rbac.yaml"):
            world.kubectl("delete", "-f", str(COMPONENT / file), "--ignore-not-found", "--timeout=60s", seconds=90)


def run(world: World, *names: str) -> tuple[int, list[dict[str, Any]]]:
    """`pairsim-chaos run --cluster` in a pod of its own; exit code and verdicts."""
    world.kubectl("delete", "pod", RUN, "--ignore-not-found", "--grace-period=0", "--force")
    files = {f"{name}.yaml": (EXPERIMENTS / f"{name}.yaml").read_text() for name in names}
    meta = {"name": RUN, "namespace": NAMESPACE}
    (deployment,) = (
        each for each in yaml.safe_load_all((COMPONENT / "verdict.yaml").read_text()) if each["kind"] == "Deployment"
    )
    spec = deployment["spec"]["template"]["spec"]
    words = ["pairsim-chaos", "run", "--cluster", "--json", "-", "--calm", "1", "--at-most", "5"]
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


def test_experiments_are_made_and_judged_and_leave_nothing(world: World, pair: str, standin: StandIn) -> None:
    code, verdicts = run(world, "kill-active", "partition-active-all", "stress-cpu-active")
    killed, cut, stressed = verdicts
    assert killed["held"], killed
    assert len(killed["targets"]) == 1
    assert [seen["before"] for seen in killed["takeovers"]] == killed["targets"]
    assert all(check["held"] for check in killed["checks"])
    assert NO_NETEM in cut["failed"]
    assert "install Chaos Mesh" in stressed["refused"]
    assert code == 1
    left = world.kubectl("get", "podchaos.chaos-mesh.org,networkchaos.chaos-mesh.org", "-o", "name")
    assert left == ""
    assert world.role(pair, "active").name not in killed["targets"]


def test_the_verdict_is_a_status_that_checks_can_ask(world: World, pair: str, standin: StandIn) -> None:
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
