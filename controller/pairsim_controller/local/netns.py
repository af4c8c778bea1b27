"""A network namespace for each local process, on a bridge: links that can be cut as those between machines.

Names carry the process that made them (its number, and when it began), so that what a killed run left is found and
taken away.
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

_TOOLS = ("ip", "nsenter")
_MARK = "pairsim-world"
_OWNER = re.compile(rf"{_MARK}-(\d+)\.(\d+)")
_FIRST_HOST = 10
_SECONDS = 20.0
NAMESPACES = Path("/run/netns")


class NetworkError(Exception):
    """Namespaces cannot be made; a sentence for the user."""


class Networks:
    """Namespaces by the name of their process; this process reaches all of them."""

    def __init__(self, net: str = "") -> None:
        """Makes the bridge.

        Args:
            net: The network (a /24) that the processes are known in; empty for one that nothing leads to.

        Raises:
            NetworkError: Not here, or the network is in use.
        """
        if os.geteuid() != 0:
            raise NetworkError("networks of their own for the processes need root")
        for tool in _TOOLS:
            if shutil.which(tool) is None:
                raise NetworkError(f"networks of their own for the processes need the command {tool}")
        remove_left_overs()
        self._net = _free_net(net)
        self._bridge = f"ps{os.getpid()}"
        self._owner = f"{_MARK}-{os.getpid()}.{_started(os.getpid())}"
        self._made: list[str] = []
        self.net = str(self._net)
        self.gateway = str(self._net[1])
        try:
            _run("ip", "link", "add", self._bridge, "type", "bridge")
            _run("ip", "link", "set", self._bridge, "alias", self._owner)
            _run("ip", "address", "add", f"{self.gateway}/{self._net.prefixlen}", "dev", self._bridge)
            _run("ip", "link", "set", self._bridge, "up")
        except NetworkError:
            self.close()
            raise

    def host(self, number: int) -> str:
        """The address of the process with this number, from 0.

        Raises:
            NetworkError: There are too many.
        """
        if number >= self._net.num_addresses - _FIRST_HOST - 1:
            raise NetworkError(f"{number + 1} processes are too many for networks of their own")
        return str(self._net[_FIRST_HOST + number])

    def make(self, name: str, number: int) -> Path:
        """A namespace for a process; where it can be entered.

        Raises:
            NetworkError: The kernel refuses it.
        """
        namespace, outer = f"{self._owner}-{name}", f"{self._bridge}-{number}"
        _run("ip", "netns", "add", namespace)
        self._made.append(namespace)
        _run("ip", "link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        _run("ip", "link", "set", outer, "master", self._bridge, "up")
        _run("ip", "-netns", namespace, "address", "add", f"{self.host(number)}/{self._net.prefixlen}", "dev", "eth0")
        _run("ip", "-netns", namespace, "link", "set", "eth0", "up")
        _run("ip", "-netns", namespace, "link", "set", "lo", "up")
        return NAMESPACES / namespace

    def close(self) -> None:
        """Takes all of it away; a namespace takes its end of the link along."""
        for namespace in self._made:
            _try("ip", "netns", "delete", namespace)
        _try("ip", "link", "delete", self._bridge)


def remove_left_overs() -> None:
    """Takes away the namespaces and bridges of runs that were killed.

    Raises:
        NetworkError: The kernel refuses it.
    """
    for name in _names("ip", "-json", "netns", "list", key="name"):
        if _is_left_over(name):
            _run("ip", "netns", "delete", name)
    for link in _listed("ip", "-json", "link", "show", "type", "bridge"):
        if _is_left_over(str(link.get("ifalias", ""))):
            _run("ip", "link", "delete", str(link["ifname"]))


def _is_left_over(name: str) -> bool:
    found = _OWNER.match(name)
    return found is not None and _started(int(found[1])) != found[2]


def _started(pid: int) -> str:
    """When a process began, in the kernel's ticks; empty if it has ended, also if nobody has taken note of that."""
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
                f"the network {wanted}, in which the processes are known to each other, is in use: end what uses it,"
                " or use another --data folder"
            )
        return net
    mine = list(ipaddress.IPv4Network("10.128.0.0/9").subnets(new_prefix=24))
    start = os.getpid() % len(mine)
    for net in chain(mine[start:], mine[:start]):
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
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=_SECONDS)  # noqa: S603 - own words
    except subprocess.CalledProcessError as error:
        raise NetworkError(f"{' '.join(command)}: {error.stderr.strip() or error.returncode}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NetworkError(f"{' '.join(command)}: {error}") from error
    return done.stdout


def _try(*command: str) -> None:
    """What is not there any more need not be taken away."""
    subprocess.run(command, check=False, capture_output=True, timeout=_SECONDS)  # noqa: S603 - own words
