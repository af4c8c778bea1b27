"""A stream of commands from a pod in the cluster, and its counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from pairsim.addresses import format_address
from tests.cluster.world import BOUNDS, NAMESPACE, World, eventually

_SCRIPT = Path(__file__).with_name("client.py")


class Told(NamedTuple):
    """The counts of `tests.cluster.client`."""

    sent: int
    acknowledged: int
    refused: int
    unknown: int
    lost: int
    ticks: int
    went_back: int
    digests: int
    unequal: int
    p50: float
    longest: float
    gaps: list[list[float]]

    def check(self) -> None:
        """Asserts that commands were sent, none is lost, no tick went back, and both replicas agree."""
        assert self.acknowledged > 0
        assert self.ticks > 0
        assert self.lost == 0, self
        assert self.went_back == 0, self
        assert self.refused == 0, self
        assert self.unknown == 0, self
        assert self.unequal == 0, self


def client_of(area: str) -> str:
    """Returns the manifest of the pod that sends to an area."""
    return f"client-{area}"


class Stream:
    """Commands to an area from the construction until `stop`."""

    def __init__(self, world: World, area: str, *, rate: float = 200.0, node: str = "") -> None:
        """Starts a pod on a node, or on any node."""
        self._world, self._area = world, area
        self._name = client_of(area)
        world.kubectl("delete", "pod", self._name, "--ignore-not-found", "--grace-period=0", "--force")
        script = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "client", "namespace": NAMESPACE}}
        world.apply({**script, "data": {"client.py": _SCRIPT.read_text()}}, self._pod(rate, node))
        world.kubectl(
            "wait", f"pod/{self._name}", "--for=condition=Ready", "--timeout=90s", seconds=120
        )  # a kubelet that lost the API server comes back slowly
        self.until(1)

    def stop(self) -> Told:
        """Ends the stream and returns its counts."""
        pods = [self._world.role(self._area, role) for role in ("active", "passive")]
        urls = json.dumps([f"http://{format_address(pod.address, 8080)}" for pod in pods])
        exec_ = ("exec", self._name, "--", "sh", "-c", f"echo '{urls}' > /tmp/new && mv /tmp/new /tmp/stop")
        self._world.kubectl(*exec_)
        eventually("the client has ended", self._ended, 90)
        said = self._world.kubectl("logs", self._name)
        self._world.kubectl("delete", "pod", self._name, "--grace-period=0", "--force")
        assert said.startswith("{"), said
        return Told(**json.loads(said.splitlines()[-1]))

    def until(self, acknowledged: int) -> None:
        """Waits until a number of commands is acknowledged."""
        eventually(f"{acknowledged} commands are acknowledged", lambda: self._acknowledged() >= acknowledged, 60)

    def _acknowledged(self) -> int:
        said = self._world.kubectl("exec", self._name, "--", "sh", "-c", "cat /tmp/acknowledged || echo 0")
        return int(said or "0")

    def _ended(self) -> bool:
        phase = self._world.kubectl("get", "pod", self._name, "-o", "jsonpath={.status.phase}")
        return phase in {"Succeeded", "Failed"}

    def _pod(self, rate: float, node: str) -> dict[str, Any]:
        urls = [f"--url=http://{name}.{NAMESPACE}.svc" for name in (self._area, f"{self._area}-any")]
        words = ["python", "/client/client.py", self._area, *urls, f"--rate={rate}", f"--bounds={json.dumps(BOUNDS)}"]
        container = {
            "name": "client",
            "image": "pairsim:dev",
            "imagePullPolicy": "IfNotPresent",
            "command": words,
            "volumeMounts": [{"name": "client", "mountPath": "/client"}],
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": self._name, "namespace": NAMESPACE, "labels": {"pairsim.io/client": "true"}},
            "spec": {
                **({"nodeName": node} if node else {}),
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 0,
                "automountServiceAccountToken": False,
                "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [container],
                "volumes": [{"name": "client", "configMap": {"name": "client"}}],
            },
        }
