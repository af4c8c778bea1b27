"""A private network: a namespace per process, on a bridge, with links that can be cut."""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, product

from tests.process.leftovers import MINE, remove_left_over_networks, run

_TOOLS = ("ip", "iptables", "nsenter")


class Network:
    """Network namespaces by process name; the test process reaches all of them, even if their links are cut."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._bridge = f"pst{os.getpid()}"
        self._net = _unused_net()
        self.host = {name: str(self._net[10 + number]) for number, name in enumerate(names)}

    def prefix(self, name: str) -> tuple[str, ...]:
        """Returns the command that runs another command in a namespace, without a new process."""
        return ("nsenter", f"--net=/run/netns/{_namespace(name)}", "--")

    def build(self) -> None:
        """Creates the bridge and the namespaces."""
        run("ip", "link", "add", self._bridge, "type", "bridge")
        run("ip", "link", "set", self._bridge, "alias", MINE)
        run("ip", "address", "add", f"{self._net[1]}/{self._net.prefixlen}", "dev", self._bridge)
        run("ip", "link", "set", self._bridge, "up")
        for number, name in enumerate(self._names):
            inner, outer, namespace = f"eth{number}", f"{self._bridge}-{number}", _namespace(name)
            run("ip", "netns", "add", namespace)
            run("ip", "link", "add", outer, "type", "veth", "peer", "name", inner, "netns", namespace)
            run("ip", "link", "set", outer, "master", self._bridge, "up")
            address = f"{self.host[name]}/{self._net.prefixlen}"
            run("ip", "-netns", namespace, "address", "add", address, "dev", inner)
            run("ip", "-netns", namespace, "link", "set", inner, "up")
            run("ip", "-netns", namespace, "link", "set", "lo", "up")

    def remove(self) -> None:
        """Removes bridge and namespaces; a namespace takes its end of the link along."""
        for name in self._names:
            subprocess.run(["ip", "netns", "delete", _namespace(name)], check=False, capture_output=True, timeout=20)
        subprocess.run(["ip", "link", "delete", self._bridge], check=False, capture_output=True, timeout=20)

    def cut(self, sources: Sequence[str], targets: Sequence[str]) -> None:
        """Silently drops packets from the sources to the targets; the other direction stays open."""
        for source, target in product(sources, targets):
            run(*self.prefix(target), "iptables", "-w", "-A", "INPUT", "-s", self.host[source], "-j", "DROP")

    def cut_both(self, first: Sequence[str], second: Sequence[str]) -> None:
        """Silently drops all packets between two groups."""
        self.cut(first, second)
        self.cut(second, first)

    def heal(self) -> None:
        """Opens all links again."""
        for name in self._names:
            run(*self.prefix(name), "iptables", "-w", "-F", "INPUT")


@contextmanager
def built(names: Sequence[str]) -> Iterator[Network]:
    """Builds a network for as long as the context is open; removes the leftovers of killed runs first."""
    remove_left_over_networks()
    found = Network(names)
    try:
        found.build()
        yield found
    finally:
        found.remove()


def missing() -> str:
    """Returns why this machine cannot build such a network; empty if it can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for tool in _TOOLS:
        if shutil.which(tool) is None:
            return f"network namespaces need the command {tool}"
    probe = f"{MINE}-probe"
    try:
        run("ip", "netns", "add", probe)
        try:
            run("nsenter", f"--net=/run/netns/{probe}", "--", "iptables", "-w", "-A", "INPUT", "-j", "DROP")
        finally:
            run("ip", "netns", "delete", probe)
    except subprocess.CalledProcessError as error:
        return f"network namespaces cannot be made here: {error.stderr.strip()}"
    return ""


def _namespace(name: str) -> str:
    return f"{MINE}-{name}"


def _unused_net() -> ipaddress.IPv4Network:
    """Returns a /24 network that overlaps with no route of this machine."""
    routes = [route["dst"] for route in json.loads(run("ip", "-json", "route", "show", "table", "all"))]
    taken = [ipaddress.ip_network(route) for route in routes if route != "default" and ":" not in route]
    nets = ipaddress.ip_network("10.128.0.0/9").subnets(new_prefix=24)
    mine = list(nets)
    start = os.getpid() % len(mine)
    for net in chain(mine[start:], mine[:start]):
        if not any(net.overlaps(other) for other in taken):
            return net
    raise AssertionError("every network below 10.128.0.0/9 is in use")
