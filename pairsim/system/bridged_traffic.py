"""Packets between the ports of a bridge, which a firewall of the machine may drop.

With `net.bridge.bridge-nf-call-iptables=1`, which Docker and Kubernetes set, packets on a bridge go through the chain
FORWARD of iptables. Its policy often is DROP there, so that two network namespaces on a bridge never reach each other
while both are up and have addresses. `BridgeAdmission` accepts the packets of one bridge. Other firewalls may drop them
all the same, so `connects` tries, and `blocking_rules` names what may be the reason.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import json
import os
import shlex
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_SETTING = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
_FIREWALLS, _TABLES = ("iptables", "iptables-legacy", "iptables-nft"), ("filter", "mangle")
_OPEN_CHAIN = "-P FORWARD ACCEPT"
_VERDICTS = frozenset({"DROP", "REJECT"})
_COMMAND_SECONDS = 20.0
_CONNECT_SECONDS = 3.5
"""The first packet may be lost while the bridge learns its ports; TCP sends it again after 1 s and after 3 s."""

_CLONE_NEWNET = 0x40000000
_MAX_NAMED = 3


class BridgeAdmission:
    """A rule of iptables that accepts packets from one port of a bridge to another.

    Attributes:
        added: Whether the rule is there.
    """

    def __init__(self, bridge: str, owner: str) -> None:
        """Describes the rule; `add` adds it.

        Args:
            bridge: The name of the bridge.
            owner: The comment of the rule, by which a later run recognises it: see `remove_stale`.
        """
        self._rule = ("-i", bridge, "-o", bridge, "-m", "comment", "--comment", owner, "-j", "ACCEPT")
        self.added = False

    def add(self) -> None:
        """Adds the rule before all others if packets on bridges go through a chain that may drop them."""
        if not self.added and _is_filtered() and _listed("iptables", "FORWARD") not in ([], [_OPEN_CHAIN]):
            self.added = _run("iptables", "-w", "-I", "FORWARD", *self._rule) is not None

    def remove(self) -> None:
        """Removes the rule if it was added."""
        if self.added:
            _run("iptables", "-w", "-D", "FORWARD", *self._rule)
            self.added = False


def remove_stale(is_stale: Callable[[str], bool]) -> None:
    """Removes the rules of killed runs: those with a comment that is stale."""
    for line in _listed("iptables", "FORWARD"):
        words = shlex.split(line)
        if words[:1] == ["-A"] and "--comment" in words and is_stale(words[words.index("--comment") + 1]):
            _run("iptables", "-w", "-D", *words[1:])


def connects(source: Path, target: Path, address: str) -> bool:
    """Returns whether a TCP connection can be made from one network namespace to another.

    Args:
        source: The path of the namespace that connects.
        target: The path of the namespace that listens.
        address: An IPv4 address of the target.

    Raises:
        OSError: A namespace cannot be entered.
    """
    with _socket_in(target) as listener, _socket_in(source) as dialler:
        listener.bind((address, 0))
        listener.listen(1)
        dialler.settimeout(_CONNECT_SECONDS)
        try:
            dialler.connect(listener.getsockname())
        except OSError:
            return False
        return True


def blocking_rules(*, admitted: bool) -> list[str]:
    """Returns rules and policies that may drop the packets on a bridge, as the firewalls show them.

    Args:
        admitted: Whether a `BridgeAdmission` was added, before which the chain FORWARD of iptables drops nothing.
    """
    known = set(_listed("iptables", "FORWARD") if admitted else ())
    lines: list[str] = []
    for firewall, table in itertools.product(_FIREWALLS, _TABLES):
        for line in _listed(firewall, "FORWARD", table):
            if _VERDICTS & set(line.split()) and line not in known:
                known.add(line)
                lines.append(f"`{line}` in the table {table} of {firewall}")
    return [*lines, *_dropping_chains()][:_MAX_NAMED]


def _dropping_chains() -> Iterator[str]:
    for each in json.loads(_run("nft", "-j", "list", "chains") or "{}").get("nftables", []):
        chain = each.get("chain", {})
        if chain.get("hook") == "forward" and chain.get("policy") == "drop" and chain.get("name") != "FORWARD":
            yield f"the policy of `nft list chain {chain['family']} {chain['table']} {chain['name']}`"


def _is_filtered() -> bool:
    try:
        return _SETTING.read_text().strip() != "0"
    except OSError:  # the kernel has no bridge filter
        return False


def _listed(firewall: str, chain: str, table: str = "filter") -> list[str]:
    """Returns the policy and the rules of a chain; nothing if the firewall cannot be asked."""
    return (_run(firewall, "-w", "-t", table, "-S", chain) or "").splitlines()


def _run(*command: str) -> str | None:
    """Returns the output of a command; None if it is missing or fails."""
    if shutil.which(command[0]) is None:
        return None
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(  # noqa: S603 - a fixed command
            command, check=True, capture_output=True, text=True, timeout=_COMMAND_SECONDS
        ).stdout
    return None


def _socket_in(namespace: Path) -> socket.socket:
    """Returns a socket of a network namespace, which a thread enters (setns(2)) that ends then."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(_enter_and_open, namespace).result()


def _enter_and_open(namespace: Path) -> socket.socket:
    descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET):
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), str(namespace))
        return socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    finally:
        os.close(descriptor)
