"""What a process of its own costs a simulator, and how soon its end is noticed."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np

from pairsim.engine.host.process import EngineProcess
from pairsim.engine.port import EngineLostError
from pairsim.model.area import AreaSpec
from pairsim.model.command_schema import Operation
from pairsim.model.commands import Command
from pairsim.model.simulation.simulator import Batch, load_simulator
from pairsim.model.simulation.tick import advance, populate_initial
from pairsim.model.state.schema import Component, Schema
from pairsim.model.state.table import Table
from tests.benchmarks.figures import Figure, single, times
from tests.harness import spec

_START_SECONDS, _LONG_SECONDS = 120.0, 1000.0


class Still:
    """Does nothing, and from tick 1,000,000 on for a long time."""

    components = Schema((Component("value", "float64"),))
    operations: tuple[Operation, ...] = ()

    def __init__(self, area: AreaSpec) -> None:
        self._entities = area.entities

    def prepare(self) -> None:
        """Compiles nothing."""

    def populate(self, table: Table, rng: np.random.Generator) -> None:
        table.spawn(np.arange(self._entities), {})

    def step(self, table: Table, batch: Batch, tick: int, rng: np.random.Generator) -> None:
        if tick >= 1_000_000:
            time.sleep(_LONG_SECONDS)

    def perceive(self, table: Table, tick: int) -> Iterable[Command]:
        return ()


async def engine(folder: Path, seconds: float, n: int) -> list[Figure]:
    """Ticks through an engine beside bare ones, and the time from SIGKILL to the error."""
    return [
        *await asyncio.to_thread(_round_trips, folder, seconds),
        *await asyncio.to_thread(_steps, folder, seconds),
        await asyncio.to_thread(_deaths, folder, n),
    ]


def _started(folder: Path, area: AreaSpec) -> EngineProcess:
    folder.mkdir(parents=True, exist_ok=True)
    made = EngineProcess(area, folder / "engine.log")
    made.start(_START_SECONDS)
    made.populate()
    return made


def _still(entities: int) -> AreaSpec:
    return msgspec.structs.replace(spec(entities=entities), simulator=f"{__name__}:Still", parameters={})


def _round_trips(folder: Path, seconds: float) -> list[Figure]:
    """An empty step: the cost of the messages alone."""
    running = _started(folder, _still(1000))
    figures = []
    try:
        tick = 0
        for name, pause in (("back to back", 0.0), ("every 10 ms", 0.01)):
            waits = []
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                tick += 1
                time.sleep(pause)
                began = time.perf_counter()
                running.advance(running.table, [], tick)
                waits.append((time.perf_counter() - began) * 1e3)
            figures.append(times(f"round trip of an empty step, 1,000 entities, {name}", waits, p50=0.15))
    finally:
        running.close()
    return figures


def _steps(folder: Path, seconds: float) -> list[Figure]:
    """Steps with work, in turn through the engine and bare."""
    area = spec(entities=100_000, collisions=True)
    running = _started(folder, area)
    simulator = load_simulator(area.simulator)(area)
    simulator.prepare()
    table = Table(simulator.components)
    populate_initial(simulator, table, area)
    apart, bare = [], []
    try:
        end = time.perf_counter() + 2 * seconds
        tick = 0
        while time.perf_counter() < end:
            tick += 1
            began = time.perf_counter()
            running.advance(running.table, [], tick)
            between = time.perf_counter()
            advance(simulator, table, [], tick, area)
            apart.append((between - began) * 1e3)
            bare.append((time.perf_counter() - between) * 1e3)
        assert running.table.digest() == table.digest()
    finally:
        running.close()
    name = "100,000 colliding entities"
    return [
        times(f"step through an engine, {name}", apart),
        times(f"step without an engine, {name}", bare),
        single(f"the one / the other, mean, {name}", "", sum(apart) / sum(bare), at_most=1.05, n=len(bare)),
    ]


def _deaths(folder: Path, n: int) -> Figure:
    """From SIGKILL in the middle of a step, with the memory of 100,000 entities."""
    waits: list[float] = []
    reasons: set[str] = set()
    for _ in range(n):
        running = _started(folder, _still(100_000))
        killed = [0.0]

        def kill(running: EngineProcess = running, killed: list[float] = killed) -> None:
            killed[0] = time.perf_counter()
            os.kill(running.pid, signal.SIGKILL)

        timer = threading.Timer(0.1, kill)
        timer.start()
        try:
            running.advance(running.table, [], 1_000_000)
        except EngineLostError as error:
            waits.append((time.perf_counter() - killed[0]) * 1e3)
            reasons.add(error.reason)
        finally:
            timer.join()
            running.close()
    assert reasons == {"was ended by SIGKILL"}, reasons
    return times("kill -9 of an engine in a step, to the error in its node", waits, p50=1.0)
