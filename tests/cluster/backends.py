"""The backends of the cluster tests: a cluster made by these tests, a cluster made by kind, or an existing one.

`PAIRSIM_TEST_CLUSTER` chooses: `native` (the default), `kind`, or `kubeconfig` for the cluster that `KUBECONFIG` names.
A backend may refuse what only the owner of the machines can do; the test is skipped then and says why.
"""

from __future__ import annotations

import os
import signal
from typing import Protocol

import pytest

from tests.cluster.existing import ExistingCluster
from tests.cluster.kind import KindCluster
from tests.cluster.native.cluster import NativeCluster


class Cluster(Protocol):
    """A cluster of at least two nodes."""

    name: str

    def open(self) -> None:
        """Creates the cluster, or finds it."""

    def close(self) -> None:
        """Removes everything that `open` created."""

    def kubectl(self, *words: str, stdin: bytes = b"", seconds: float = 60.0) -> str:
        """Runs kubectl as an administrator and returns its output. Raises ClusterError if it fails."""

    def kubectl_command(self, *words: str) -> list[str]:
        """Returns the command line of kubectl, for a process that keeps running."""

    def load_image(self, tag: str) -> None:
        """Builds the product's image and loads it on every node as `pairsim:tag`."""

    def signal(self, node: str, uid: str, container: str, number: signal.Signals) -> float:
        """Sends a signal to a container's first process from its node; returns the Unix time."""

    def move(self, node: str, uid: str, container: str) -> None:
        """Kills a pod's process and sandbox; the kubelet starts the pod again with its volumes and another address."""

    def cut(self, node: str) -> float:
        """Cuts the network between a node and the rest of the cluster; returns the Unix time."""

    def mend(self, node: str) -> None:
        """Ends a cut."""

    def stop_api(self) -> None:
        """Stops the API server."""

    def start_api(self) -> None:
        """Starts the API server again with its stored objects."""

    def audit(self) -> list[dict[str, object]]:
        """Returns the controller's requests to the API server as audit events."""


def choose() -> Cluster:
    """Returns the backend that the environment chooses."""
    backends: dict[str, type[Cluster]] = {"native": NativeCluster, "kind": KindCluster, "kubeconfig": ExistingCluster}
    wanted = os.environ.get("PAIRSIM_TEST_CLUSTER", "native")
    if wanted not in backends:
        pytest.exit(f"PAIRSIM_TEST_CLUSTER={wanted} must be one of {', '.join(backends)}", returncode=2)
    return backends[wanted]()
