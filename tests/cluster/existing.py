"""An existing cluster that KUBECONFIG names. Its owner provides the image. Machines and API server are not touched."""

from __future__ import annotations

import os
import signal

import pytest

from tests.cluster.commands import run
from tests.cluster.native.sandbox import ClusterError


class ExistingCluster:
    """A backend for an existing cluster."""

    name = "kubeconfig"

    def open(self) -> None:
        if "KUBECONFIG" not in os.environ:
            raise ClusterError(
                "PAIRSIM_TEST_CLUSTER=kubeconfig needs KUBECONFIG, so that no cluster is used by mistake"
            )
        if self.kubectl("get", "namespace", "pairsim", "--ignore-not-found"):
            raise ClusterError("this cluster has a namespace pairsim already, which the tests would take for theirs")

    def close(self) -> None:
        self.kubectl("delete", "namespace", "pairsim", "--ignore-not-found", seconds=180)

    def kubectl(self, *words: str, stdin: bytes = b"", seconds: float = 60.0) -> str:
        return run(*self.kubectl_command(*words), stdin=stdin, seconds=seconds)

    def kubectl_command(self, *words: str) -> list[str]:
        return ["kubectl", *words]

    def load_image(self, tag: str) -> None:
        """Does nothing: the nodes must have the image, or be able to pull it."""

    def signal(self, node: str, uid: str, container: str, number: signal.Signals) -> float:
        return refuse("signals from a node's own shell")

    def move(self, node: str, uid: str, container: str) -> None:
        refuse("ending a pod's sandbox")

    def cut(self, node: str) -> float:
        return refuse("cutting a node off")

    def mend(self, node: str) -> None:
        """Does nothing: this backend cannot cut a node off."""

    def stop_api(self) -> None:
        refuse("stopping the API server")

    def start_api(self) -> None:
        """Does nothing: this backend cannot stop the API server."""

    def audit(self) -> list[dict[str, object]]:
        refuse("reading the API server's audit log")
        return []


def refuse(what: str) -> float:
    """Skips the test."""
    pytest.skip(f"{what} is for clusters that the tests made themselves (PAIRSIM_TEST_CLUSTER=native or kind)")
