"""A cluster made by kind, which needs Docker."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from pathlib import Path

from tests.cluster.commands import run
from tests.cluster.existing import refuse
from tests.cluster.native.images import ROOT

_NAME = "pairsim-test"
_CONFIG = """
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes: [{role: control-plane}, {role: worker}, {role: worker}]
"""
_UID_LABEL = "io.kubernetes.pod.uid"
_API = "kube-apiserver.yaml"


class KindCluster:
    """A backend that creates a cluster with kind."""

    name = "kind"

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="pairsim-kind-"))

    def open(self) -> None:
        run("kind", "delete", "cluster", "--name", _NAME, seconds=120)  # what a killed run left
        config = f"--kubeconfig={self._kubeconfig}"
        run(
            "kind", "create", "cluster", "--name", _NAME, "--config=-", "--wait=120s", config,
            stdin=_CONFIG.encode(), seconds=600,
        )  # fmt: skip

    def close(self) -> None:
        run("kind", "delete", "cluster", "--name", _NAME, seconds=120)

    def kubectl(self, *words: str, stdin: bytes = b"", seconds: float = 60.0) -> str:
        return run(*self.kubectl_command(*words), stdin=stdin, seconds=seconds)

    def kubectl_command(self, *words: str) -> list[str]:
        return ["kubectl", f"--kubeconfig={self._kubeconfig}", *words]

    def load_image(self, tag: str) -> None:
        name = f"pairsim:{tag}"
        run("docker", "build", "-t", name, str(ROOT), seconds=1800)
        run("kind", "load", "docker-image", name, "--name", _NAME, seconds=600)

    def signal(self, node: str, uid: str, container: str, number: signal.Signals) -> float:
        label = f"{_UID_LABEL}={uid}"
        found = self._on(node, "crictl", "ps", "-q", "--label", label, "--name", container).split()[0]
        pid = self._on(node, "crictl", "inspect", "-o", "go-template", "--template", "{{.info.pid}}", found).strip()
        at = time.time()
        self._on(node, "kill", f"-{number.value}", pid)
        return at

    def move(self, node: str, uid: str, container: str) -> None:
        self.signal(node, uid, container, signal.SIGKILL)
        sandbox = self._on(node, "crictl", "pods", "-q", "--label", f"{_UID_LABEL}={uid}").split()[0]
        self._on(node, "crictl", "stopp", sandbox)

    def cut(self, node: str) -> float:
        at = time.time()
        for chain, flag in (("INPUT", "-i"), ("OUTPUT", "-o"), ("FORWARD", "-i"), ("FORWARD", "-o")):
            self._on(node, "iptables", "-w", "-I", chain, flag, "eth0", "-j", "DROP")
        return at

    def mend(self, node: str) -> None:
        for chain, flag in (("INPUT", "-i"), ("OUTPUT", "-o"), ("FORWARD", "-i"), ("FORWARD", "-o")):
            self._on(node, "sh", "-c", f"iptables -w -D {chain} {flag} eth0 -j DROP || true")

    def stop_api(self) -> None:
        self._on(f"{_NAME}-control-plane", "mv", f"/etc/kubernetes/manifests/{_API}", f"/etc/kubernetes/{_API}")

    def start_api(self) -> None:
        self._on(f"{_NAME}-control-plane", "mv", f"/etc/kubernetes/{_API}", f"/etc/kubernetes/manifests/{_API}")

    def audit(self) -> list[dict[str, object]]:
        refuse("reading the API server's audit log")
        return []

    @property
    def _kubeconfig(self) -> str:
        return os.fspath(self._folder / "kubeconfig")

    def _on(self, node: str, *words: str) -> str:
        return run("docker", "exec", node, *words)
