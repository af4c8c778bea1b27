"""Where processes listen."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from pairsim.cli.processes import simulator, witness
from tests.harness import Trio

LOOPBACK = "0100007F"
"""As the kernel writes it."""


async def test_everything_listens_on_loopback_only(trio: Trio) -> None:
    for node in trio.nodes.values():
        expected = {int(address.split(":")[1]) for address in (node.http, node.peer)}
        assert sorted(listening(node.pid)) == sorted((LOOPBACK, port) for port in expected)


@pytest.mark.parametrize("command", [simulator, witness])
def test_loopback_is_what_is_taken_when_nothing_is_said(command: click.Command) -> None:
    defaults = {option.name: option.default for option in command.params}
    assert {str(defaults[name]).split(":")[0] for name in ("http", "peer")} == {"127.0.0.1"}


def listening(pid: int) -> list[tuple[str, int]]:
    """Address and port of every TCP socket that a process listens at, and of every UDP socket that it has."""
    inodes = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(file.readlink())
        except FileNotFoundError:  # closed since: it was none of those that stay open
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
