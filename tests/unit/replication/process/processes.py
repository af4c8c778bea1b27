"""A simulator process in the test's own process; its peers do not exist."""

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
def simulator_process(folder: Path) -> Iterator[SimulatorProcess]:
    process = SimulatorProcess(settings("a", folder))
    try:
        yield process
    finally:
        process.close()


def assignment(process: SimulatorProcess, spec: AreaSpec) -> Assignment:
    addresses = {"a": process.settings.peer} | {name: f"127.0.0.1:{port}" for name, port in (("b", 1), ("w", 2))}
    first, second, witness = (Member(replica=n, peer=peer, url="http://x") for n, peer in addresses.items())
    return Assignment(spec=spec, generation=1, replicas=(first, second), witness=witness)
