"""The ways to a cluster, behind one seam: one made here, one made by kind, or any that is already there.

`PAIRSIM_TEST_CLUSTER` says which: `native` (the default), `kind`, or `kubeconfig` for the one that `KUBECONFIG` names.
What only the owner of the machines can do, a way may refuse: the test is skipped then, and says why.
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
        """Makes it, or finds it."""

    def close(self) -> None:
        """Takes away what `open` made."""

    def kubectl(self, *words: str, stdin: bytes = b"", seconds: float = 60.0) -> str:
        """Runs kubectl as an administrator; what it prints. Raises ClusterError if it fails."""

    def kubectl_command(self, *words: str) -> list[str]:
        """The same command, for a process that stays."""

    def load_image(self, tag: str) -> None:
        """Builds the product's image and brings it to every node as `pairsim:tag`."""

    def signal(self, node: str, uid: str, container: str, number: signal.Signals) -> float:
        """Sends a signal to a container's first process from outside of it; the Unix time at which it did."""

    def cut(self, node: str) -> float:
        """Nothing passes between a node and the rest of the cluster; since this Unix time."""

    def mend(self, node: str) -> None:
        """Takes a cut away."""

    def stop_api(self) -> None:
        """The API server is gone."""

    def start_api(self) -> None:
        """The API server comes back with what it stored."""

    def audit(self) -> list[dict[str, object]]:
        """The controller's requests to the API server, as audit events."""


def choose() -> Cluster:
    """The way that the environment asks for."""
    ways: dict[str, type[Cluster]] = {"native": NativeCluster, "kind": KindCluster, "kubeconfig": ExistingCluster}
    wanted = os.environ.get("PAIRSIM_TEST_CLUSTER", "native")
    if wanted not in ways:
        pytest.exit(f"PAIRSIM_TEST_CLUSTER={wanted} is none of {', '.join(ways)}", returncode=2)
    return ways[wanted]()
