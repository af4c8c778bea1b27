"""The machines' network: a network namespace for the control plane and one for each node, joined by a bridge.

The cluster is dual-stack: machines, pods and Services have an IPv4 and an IPv6 address each. The first address of a
pod (its `status.podIP`) is the IPv4 address on nodes with an odd number and the IPv6 address on the others, so that
members of a pair find each other by addresses of both families.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import subprocess

from tests.cluster.native.sandbox import ClusterError, Sandbox

MACHINES = ipaddress.ip_network("10.213.0.0/24")
CONTROL = "10.213.0.1"
HOST = "10.213.0.254"
CONTROL6 = "fd00:10:213::1"
PODS = "10.244.0.0/16,fd00:10:244::/48"
SERVICES = "10.96.0.0/16,fd00:10:96::/108"
_LINK = "pairsim0"
_CUT = tuple(
    (program, chain, flag)
    for program in ("iptables", "ip6tables")
    for chain, flag in (("INPUT", "-i"), ("OUTPUT", "-o"), ("FORWARD", "-i"), ("FORWARD", "-o"))
)


def addresses(node: int) -> tuple[str, str]:
    """Returns the IPv4 and the IPv6 address of a node; the first one is of the family that its pods have first."""
    return _addresses(node) if node % 2 else _addresses(node)[::-1]


def pods(node: int) -> tuple[str, str]:
    """Returns the IPv4 and the IPv6 address range of a node's pods."""
    return f"10.244.{node}.0/24", f"fd00:10:244:{node}::/64"


class Network:
    """The namespaces and links of the cluster. Nodes are counted from 1."""

    def __init__(self, sandbox: Sandbox, nodes: int) -> None:
        self._sandbox, self._nodes = sandbox, nodes

    def open(self) -> None:
        """Creates the namespaces and the links between them.

        Raises:
            ClusterError: The machine has a network of the same addresses.
        """
        self._refuse_overlap()
        self._machine("control", (CONTROL, CONTROL6), bridge=True)
        for node in range(1, self._nodes + 1):
            name = f"node{node}"
            self._machine(name, addresses(node))
            for other in range(1, self._nodes + 1):
                if other != node:
                    self._route(name, other)
            self._route("control", node)
        # The tests run outside of all this; the API server is all that they reach.
        self._sandbox.run("ip", "link", "add", _LINK, "type", "veth", "peer", "name", "host", "netns", "control")
        self._sandbox.run("ip", "address", "add", f"{HOST}/24", "dev", _LINK)
        self._sandbox.run("ip", "link", "set", _LINK, "up")
        self._ip("control", "link", "set", "host", "master", "machines", "up")

    def _route(self, machine: str, node: int) -> None:
        """Leads a machine's packets for a node's pods to the node."""
        for pod_range, via in zip(pods(node), _addresses(node), strict=True):
            self._ip(machine, "route", "add", pod_range, "via", via)

    def _machine(self, name: str, own: tuple[str, str], *, bridge: bool = False) -> None:
        self._sandbox.run("ip", "netns", "add", name)
        self._ip(name, "link", "set", "lo", "up")
        device = "machines" if bridge else "eth0"
        if bridge:
            self._ip(name, "link", "add", device, "type", "bridge")
        else:
            self._ip("control", "link", "add", name, "type", "veth", "peer", "name", device, "netns", name)
            self._ip("control", "link", "set", name, "master", "machines", "up")
        for one in own:
            # Without nodad an IPv6 address is unusable for a second, while duplicates are looked for.
            words = (f"{one}/64", "nodad") if ":" in one else (f"{one}/24",)
            self._ip(name, "address", "add", "dev", device, *words)
        self._ip(name, "link", "set", device, "up")
        if not bridge:
            for gateway in (CONTROL, CONTROL6):
                self._ip(name, "route", "add", "default", "via", gateway)
        settings = (
            "net/ipv4/ip_forward",
            "net/ipv6/conf/all/forwarding",
            "net/bridge/bridge-nf-call-iptables",
            "net/bridge/bridge-nf-call-ip6tables",
            "net/ipv4/conf/all/route_localnet",
        )
        for setting in settings:
            self._sandbox.run("sh", "-c", f"[ ! -e /proc/sys/{setting} ] || echo 1 > /proc/sys/{setting}", net=name)

    def cut(self, node: int) -> None:
        """Drops all packets between a node (pods and kubelet) and the other machines, in both directions."""
        for program, chain, flag in _CUT:
            self._sandbox.run(program, "-w", "-I", chain, flag, "eth0", "-j", "DROP", net=f"node{node}")

    def mend(self, node: int) -> None:
        """Ends a cut."""
        for program, chain, flag in _CUT:
            with contextlib.suppress(ClusterError):
                self._sandbox.run(program, "-w", "-D", chain, flag, "eth0", "-j", "DROP", net=f"node{node}")

    def _ip(self, net: str, *words: str) -> None:
        self._sandbox.run("ip", *words, net=net)

    def _refuse_overlap(self) -> None:
        said = subprocess.run(["ip", "-json", "route"], check=True, capture_output=True, text=True).stdout
        for route in json.loads(said or "[]"):
            target = route.get("dst", "default")
            if target != "default" and MACHINES.overlaps(ipaddress.ip_network(target, strict=False)):
                raise ClusterError(f"this machine has a route to {target}, which the test cluster needs ({MACHINES})")


def _addresses(node: int) -> tuple[str, str]:
    return f"10.213.0.{10 + node}", f"fd00:10:213::{10 + node}"


def remove_left_overs() -> None:
    """Removes the link to a killed run's cluster, if it outlived the run's namespaces."""
    subprocess.run(["ip", "link", "delete", _LINK], check=False, capture_output=True)
