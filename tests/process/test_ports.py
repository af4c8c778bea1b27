"""Processes listen on loopback only, unless they are configured otherwise."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from pairsim.cli.processes import simulator, witness
from tests.harness import RunningPair

LOOPBACK = "0100007F"
"""127.0.0.1 as /proc/net/tcp writes it."""


async def test_all_processes_listen_on_loopback_only(pair: RunningPair) -> None:
    for node in pair.nodes.values():
        expected = {int(address.split(":")[1]) for address in (node.http, node.peer)}
        assert sorted(listening(node.pid)) == sorted((LOOPBACK, port) for port in expected)


@pytest.mark.parametrize("command", [simulator, witness])
def test_loopback_is_the_default(command: click.Command) -> None:
    defaults = {option.name: option.default for option in command.params}
    assert {str(defaults[name]).split(":")[0] for name in ("http", "peer")} == {"127.0.0.1"}


def listening(pid: int) -> list[tuple[str, int]]:
    """Returns address and port of every TCP socket that a process listens at, and of each of its UDP sockets."""
    inodes = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(file.readlink())
        except FileNotFoundError:  # closed meanwhile, so it was not a listening socket
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    found = []
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes and (table.startswith("udp") or fields[3] == "0A"):
                address, port = fields[1].split(":")
                found.append((address, int(port, 16)))
    return found
