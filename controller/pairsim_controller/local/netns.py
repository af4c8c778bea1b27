"""A network namespace for each local process, on a bridge, so that links can be cut as between machines.

A firewall of the machine may drop the packets between the namespaces. A rule for the bridge accepts them where they go
through iptables, and a connection between the first two namespaces shows whether that is enough.

The names of namespaces and bridges, and the comment of the rule, contain the pid and the start time of the process that
made them. So a later run finds and removes those of a run that was killed.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from pairsim.system.bridged_traffic import BridgeAdmission, blocking_rules, connects, remove_stale

_COMMANDS = ("ip", "nsenter")
_MARK = "pairsim-world"
_OWNER = re.compile(rf"{_MARK}-(\d+)\.(\d+)")
_FIRST_HOST = 10
_COMMAND_SECONDS = 20.0
NAMESPACES = Path("/run/netns")


class NetworkError(Exception):
    """Network namespaces cannot be made; the text is a sentence for the user."""


class NetworkNamespaces:
    """A bridge and the namespaces on it; this process has an address on the bridge and reaches all of them."""

    def __init__(self, net: str = "") -> None:
        """Makes the bridge.

        Args:
            net: The network (a /24) that the processes know each other by; empty for any that is not in use.

        Raises:
            NetworkError: Root or a command is missing, or the network is in use.
        """
        if os.geteuid() != 0:
            raise NetworkError("--isolate needs root")
        for tool in _COMMANDS:
            if shutil.which(tool) is None:
                raise NetworkError(f"--isolate needs the command {tool}")
        remove_leftovers()
        self._net = _free_net(net)
        self._bridge = f"ps{os.getpid()}"
        self._owner = f"{_MARK}-{os.getpid()}.{_start_time(os.getpid())}"
        self._admission = BridgeAdmission(self._bridge, self._owner)
        self._made: list[str] = []
        self._numbers: list[int] = []
        self.net = str(self._net)
        self.gateway = str(self._net[1])
        try:
            _run("ip", "link", "add", self._bridge, "type", "bridge")
            _run("ip", "link", "set", self._bridge, "alias", self._owner)
            _run("ip", "address", "add", f"{self.gateway}/{self._net.prefixlen}", "dev", self._bridge)
            _run("ip", "link", "set", self._bridge, "up")
            self._admission.add()
        except NetworkError:
            self.close()
            raise

    def host(self, number: int) -> str:
        """Returns the address of a process by its number, which counts from 0.

        Raises:
            NetworkError: The network has no address left.
        """
        if number >= self._net.num_addresses - _FIRST_HOST - 1:
            raise NetworkError(f"{number + 1} processes are too many for --isolate: its network has 256 addresses")
        return str(self._net[_FIRST_HOST + number])

    def make(self, name: str, number: int) -> Path:
        """Makes the namespace of a process and returns the path by which it can be entered.

        Raises:
            NetworkError: The kernel refuses it, or a firewall drops the packets between the first two namespaces.
        """
        namespace, outer = f"{self._owner}-{name}", f"{self._bridge}-{number}"
        _run("ip", "netns", "add", namespace)
        self._made.append(namespace)
        _run("ip", "link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        _run("ip", "link", "set", outer, "master", self._bridge, "up")
        _run("ip", "-netns", namespace, "address", "add", f"{self.host(number)}/{self._net.prefixlen}", "dev", "eth0")
        _run("ip", "-netns", namespace, "link", "set", "eth0", "up")
        _run("ip", "-netns", namespace, "link", "set", "lo", "up")
        self._numbers.append(number)
        if len(self._made) == 2:
            self._check_connection()
        return NAMESPACES / namespace

    def _check_connection(self) -> None:
        first, second = (NAMESPACES / name for name in self._made)
        try:
            if connects(first, second, self.host(self._numbers[1])):
                return
        except OSError as error:
            raise NetworkError(f"a network namespace cannot be entered: {error}") from error
        rules = " and ".join(blocking_rules(admitted=self._admission.added)) or "its rules do not show why"
        raise NetworkError(
            "--isolate does not work here: a firewall of this machine drops the packets between network namespaces on a"
            f" bridge ({rules}). Accept them there for the bridges `ps+`, or keep bridges out of iptables with"
            " `sysctl net.bridge.bridge-nf-call-iptables=0`"
        )

    def close(self) -> None:
        """Removes the bridge and all namespaces; a namespace takes its end of the link with it."""
        for namespace in self._made:
            _try("ip", "netns", "delete", namespace)
        _try("ip", "link", "delete", self._bridge)
        self._admission.remove()


def remove_leftovers() -> None:
    """Removes the namespaces, bridges and rules of runs that were killed.

    Raises:
        NetworkError: The kernel refuses it.
    """
    for name in _names("ip", "-json", "netns", "list", key="name"):
        if _is_leftover(name):
            _run("ip", "netns", "delete", name)
    for link in _listed("ip", "-json", "link", "show", "type", "bridge"):
        if _is_leftover(str(link.get("ifalias", ""))):
            _run("ip", "link", "delete", str(link["ifname"]))
    remove_stale(_is_leftover)


def _is_leftover(name: str) -> bool:
    found = _OWNER.match(name)
    return found is not None and _start_time(int(found[1])) != found[2]


def _start_time(pid: int) -> str:
    """Returns a process's start time in clock ticks since boot; empty if it has ended, zombies included."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state in {"Z", "X"} else fields[18]


def _free_net(wanted: str) -> ipaddress.IPv4Network:
    routes = _names("ip", "-json", "route", "show", "table", "all", key="dst")
    taken = [ipaddress.ip_network(route) for route in routes if route != "default" and ":" not in route]
    if wanted:
        net = ipaddress.IPv4Network(wanted)
        if any(net.overlaps(other) for other in taken):
            raise NetworkError(
                f"the network {wanted}, by which the processes know each other, is in use: stop its user,"
                " or use another --data folder"
            )
        return net
    subnets = list(ipaddress.IPv4Network("10.128.0.0/9").subnets(new_prefix=24))
    start = os.getpid() % len(subnets)
    for net in chain(subnets[start:], subnets[:start]):
        if not any(net.overlaps(other) for other in taken):
            return net
    raise NetworkError("every network below 10.128.0.0/9 is in use")


def _names(*command: str, key: str) -> Iterable[str]:
    return [str(each[key]) for each in _listed(*command) if key in each]


def _listed(*command: str) -> list[dict[str, object]]:
    found = json.loads(_run(*command) or "[]")
    return [each for each in found if isinstance(each, dict)]


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=_COMMAND_SECONDS)  # noqa: S603 - a fixed command
    except subprocess.CalledProcessError as error:
        raise NetworkError(f"{' '.join(command)}: {error.stderr.strip() or error.returncode}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NetworkError(f"{' '.join(command)}: {error}") from error
    return done.stdout


def _try(*command: str) -> None:
    """Runs a command and ignores its failure: the object may be removed already."""
    subprocess.run(command, check=False, capture_output=True, timeout=_COMMAND_SECONDS)  # noqa: S603 - a fixed command
