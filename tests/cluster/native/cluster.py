"""The whole cluster: opened in seconds, and removed afterwards."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import click

from tests.cluster.native import images, network, node, tools
from tests.cluster.native.controlplane import ControlPlane
from tests.cluster.native.network import Network
from tests.cluster.native.node import Node
from tests.cluster.native.sandbox import HOME, ClusterError, Sandbox, end_processes, remove_files, wait

NODES = 2


class NativeCluster:
    """A backend that makes a cluster of two nodes on this machine."""

    name = "native"

    def __init__(self) -> None:
        self._sandbox = Sandbox()
        self._programs: dict[str, Path] = {}
        self._network = Network(self._sandbox, NODES)
        self._nodes: list[Node] = []
        self._control: ControlPlane | None = None

    def open(self) -> None:
        """Creates the cluster, after it has removed what an earlier run left.

        Raises:
            MissingToolsError: The machine lacks something.
            ClusterError: Something did not come up.
        """
        self._programs = tools.programs()
        self._sandbox.take()
        clean()
        (HOME / "data").mkdir(parents=True)
        self._sandbox.open()
        self._network.open()
        self._control = ControlPlane(self._sandbox, self._programs)
        self._control.open()
        pause = images.pause(HOME / "data", node.PAUSE)
        self._nodes = [Node(self._sandbox, self._control, self._programs, i + 1) for i in range(NODES)]
        for one in self._nodes:
            one.open()
            one.load(pause)
            one.join()
        wait("all nodes are Ready", self._ready, 60)

    def close(self) -> None:
        """Removes the cluster; its logs stay."""
        if self._sandbox.taken:
            self._sandbox.close()
            clean(logs=True)
            self._sandbox.leave()

    @property
    def kubeconfig(self) -> Path:
        """Returns the administrator's kubeconfig file."""
        return self.control.kubeconfig

    @property
    def control(self) -> ControlPlane:
        """Of an open cluster."""
        assert self._control is not None
        return self._control

    def kubectl(self, *words: str, stdin: bytes = b"", seconds: float = 60.0) -> str:
        """Runs kubectl as an administrator and returns its output."""
        return self.control.kubectl(*words, stdin=stdin, seconds=seconds)

    def load_image(self, tag: str) -> None:
        """Builds the product's image and loads it on every node."""
        archive = images.product(tag)
        for one in self._nodes:
            one.load(archive)

    def kubectl_command(self, *words: str) -> list[str]:
        """Returns the command line of kubectl."""
        return [str(self._programs["kubectl"]), f"--kubeconfig={self.kubeconfig}", *words]

    def signal(self, node: str, uid: str, container: str, number: signal.Signals) -> float:
        """Sends a signal to a container's first process from its node."""
        return self._node(node).signal(uid, container, number)

    def move(self, node: str, uid: str, container: str) -> None:
        """Kills a pod's process and sandbox, so that the pod comes back with another address."""
        self._node(node).move(uid, container)

    def cut(self, name: str) -> float:
        """Cuts the network between a node and the rest of the cluster."""
        at = time.time()
        self._network.cut(self._node(name).number)
        return at

    def mend(self, name: str) -> None:
        """Ends a cut."""
        self._network.mend(self._node(name).number)

    def stop_api(self) -> None:
        """Stops the API server."""
        self.control.stop_api()

    def start_api(self) -> None:
        """Starts the API server again."""
        self.control.start_api()

    def audit(self) -> list[dict[str, object]]:
        """Returns the controller's requests as audit events."""
        return [json.loads(line) for line in self._sandbox.log_of("audit").read_text().splitlines()]

    def _node(self, name: str) -> Node:
        for one in self._nodes:
            if one.name == name:
                return one
        raise ClusterError(f"there is no node {name}")

    def _ready(self) -> bool:
        text = "{range .items[*]}{.status.conditions[?(@.type=='Ready')].status} {end}"
        return self.kubectl("get", "nodes", "-o", f"jsonpath={text}").split() == ["True"] * NODES


def clean(*, logs: bool = False) -> None:
    """Removes everything of a run that was killed, or has just ended."""
    end_processes()
    node.remove_left_overs()
    network.remove_left_overs()
    remove_files(logs=logs)


@click.command()
def main() -> None:
    """Keeps a cluster running until interrupted, to try things by hand: `python -m tests.cluster.native.cluster`."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    cluster = NativeCluster()
    try:
        began = time.monotonic()
        cluster.open()
        print(f"up after {time.monotonic() - began:.1f} s: export KUBECONFIG={cluster.kubeconfig}", flush=True)  # noqa: T201
        cluster.load_image("dev")
        print(f"image pairsim:dev loaded after {time.monotonic() - began:.1f} s", flush=True)  # noqa: T201
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
    finally:
        cluster.close()


if __name__ == "__main__":
    main()
