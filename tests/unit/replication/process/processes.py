"""A simulator process in the test's own process; its peers do not exist."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from pairsim.engine.in_process import load_in_process
from pairsim.engine.port import Engine
from pairsim.model.area import AreaSpec
from pairsim.model.assignment import Assignment, Member
from pairsim.replication.process.simulator import SimulatorProcess
from pairsim.replication.process.witness import WitnessProcess
from pairsim.settings import ProcessSettings, Timing
from tests import builders
from tests.harness import SECRET, TOKEN, free_ports


def settings(name: str, folder: Path, timing: Timing = Timing()) -> ProcessSettings:  # noqa: B008 - it is frozen
    http, peer = free_ports(2)
    return ProcessSettings(
        name=name, http=f"127.0.0.1:{http}", peer=f"127.0.0.1:{peer}", data=folder, secret=SECRET.encode(), token=TOKEN,
        timing=timing,
    )  # fmt: skip


def start_engine_here(spec: AreaSpec, _data: Path, _on_end: Callable[[str], None]) -> Engine:
    """Starts the engine of an area in the test's own process."""
    return load_in_process(spec)


def make_simulator(given: ProcessSettings) -> SimulatorProcess:
    """Starts a simulator process whose engine runs here."""
    return SimulatorProcess(given, None, start_engine_here)


@contextlib.contextmanager
def simulator_process(folder: Path) -> Iterator[SimulatorProcess]:
    process = make_simulator(settings("a", folder))
    try:
        yield process
    finally:
        process.close()


def process_member(process: SimulatorProcess | WitnessProcess) -> Member:
    return builders.member(process.settings.name, peer=process.settings.peer)


def assignment(process: SimulatorProcess, spec: AreaSpec) -> Assignment:
    peers = builders.local_member("b", 1), builders.local_member("w", 2)
    return builders.assignment(process_member(process), *peers, spec=spec)


def witness_assignment(process: WitnessProcess, spec: AreaSpec) -> Assignment:
    peers = builders.local_member("r1", 1), builders.local_member("r2", 2)
    return builders.assignment(*peers, process_member(process), spec=spec)
