"""Takeovers that nothing caused, while both cores are busy."""

from __future__ import annotations

import asyncio
import ctypes
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from pairsim.client import AreaClient
from pairsim.model.area import AreaSpec
from pairsim.model.command_schema import Operation
from pairsim.model.commands import Command
from pairsim.model.simulation.simulator import Batch
from pairsim.model.state.schema import Component, Schema
from pairsim.model.state.table import Table
from tests.benchmarks.figures import Figure, single
from tests.benchmarks.starved import busy_processes
from tests.harness import TOKEN, RunningPair, impulses, some_entity, spec

_HELD_SECONDS = 0.3


class Holder:
    """Keeps the interpreter lock for most of a tick."""

    components = Schema((Component("ticks", "int64"),))
    operations: tuple[Operation, ...] = ()

    def __init__(self, area: AreaSpec) -> None:
        self._entities = area.entities

    def prepare(self) -> None:
        """Compiles nothing."""

    def populate(self, table: Table, rng: np.random.Generator) -> None:
        table.spawn(np.arange(self._entities), {})

    def step(self, table: Table, batch: Batch, tick: int, rng: np.random.Generator) -> None:
        ctypes.PyDLL(None).usleep(round(_HELD_SECONDS * 1e6))
        table.column("ticks")[:] = tick

    def perceive(self, table: Table, tick: int) -> Iterable[Command]:
        return ()


async def holding(folder: Path, minutes: float) -> list[Figure]:
    """An engine that keeps its interpreter lock for 300 ms in every tick."""
    area = spec(entities=1000, tick_rate=2.0, simulator=f"{__name__}:Holder")
    async with RunningPair(folder / "holding", area) as pair:
        await pair.wait_until_redundant(60)
        before = await pair.statuses()
        with busy_processes(1, 2):
            await asyncio.sleep(minutes * 60)
            after = await pair.statuses()
    takeovers = max(s.term for s in after.values()) - max(s.term for s in before.values())
    ticks = max(s.tick for s in after.values()) - max(s.tick for s in before.values())
    name = f"an engine that keeps the interpreter lock 300 ms a tick at 2 Hz, both cores busy, {minutes:g} minutes"
    return [
        single(f"takeovers: {name}", "", takeovers, at_most=0),
        single(f"ticks a second: {name}", "1/s", ticks / (minutes * 60), n=ticks),
    ]


async def calm(folder: Path, minutes: float) -> list[Figure]:
    """100,000 colliding entities and commands without a pause."""
    async with RunningPair(folder / "calm", spec(entities=100_000, collisions=True)) as pair:
        async with AreaClient([n.url for n in pair.nodes.values() if n.name in "ab"], token=TOKEN) as client:
            entity = await some_entity(client)
            active, _passive = await pair.wait_until_redundant(60)
            term = (await active.client.status()).term
            end = time.perf_counter() + minutes * 60
            while time.perf_counter() < end:
                await client.send(impulses(entity, 100))
            statuses = await pair.statuses()
        terms = max(s.term for s in statuses.values()) - term
        diverged = sum(s.divergences for s in statuses.values())
    return [
        single(f"spurious takeovers in {minutes:g} minutes, 100,000 entities with collisions", "", terms, at_most=0),
        single("digest mismatches in the same time", "", diverged, at_most=0),
    ]
