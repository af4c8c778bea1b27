"""A simulator's host in this process; its peers are nowhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from pairsim.model.area import AreaSpec
from pairsim.model.assignment import Assignment, Member
from pairsim.replication.process.simulator import SimulatorProcess
from pairsim.settings import ProcessSettings, Timing
from tests.harness import SECRET, TOKEN, free_ports


def settings(name: str, folder: Path, timing: Timing = Timing()) -> ProcessSettings:  # noqa: B008 - it is frozen
    http, peer = free_ports(2)
    return ProcessSettings(
        name=name, http=f"127.0.0.1:{http}", peer=f"127.0.0.1:{peer}", data=folder, secret=SECRET.encode(), token=TOKEN,
        timing=timing,
    )  # fmt: skip


@contextlib.contextmanager
def host(folder: Path) -> Iterator[SimulatorProcess]:
    one = SimulatorProcess(settings("a", folder))
    try:
        yield one
    finally:
        one.close()


def assignment(one: SimulatorProcess, spec: AreaSpec) -> Assignment:
    addresses = {"a": one.settings.peer} | {name: f"127.0.0.1:{port}" for name, port in (("b", 1), ("w", 2))}
    first, second, witness = (Member(replica=n, peer=peer, url="http://x") for n, peer in addresses.items())
    return Assignment(spec=spec, generation=1, replicas=(first, second), witness=witness)
