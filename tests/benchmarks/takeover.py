"""How long an area stands still: its node or its engine is killed, stopped, or it hands over; as a client sees it."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from pathlib import Path

import msgspec

from pairsim.client import AreaClient
from pairsim.model.area import AreaSpec
from pairsim.model.status import Succession
from pairsim.protocol.frames import Frame
from tests.benchmarks.figures import Figure, single, times
from tests.harness import TOKEN, Node, RunningPair, impulses, some_entity, spec, until

_CALM = 0.3
_HERTZ = (60.0, 20.0)


class NodeKill:
    """SIGKILL of the active's node; its engine ends with it."""

    def __init__(self, active: Node, engine_pid: int) -> None:
        self._active, self._engine_pid = active, engine_pid

    def strike(self) -> None:
        self._active.signal(signal.SIGKILL)

    def mend(self) -> None:
        self._active.kill()
        self._active.start()


class EngineKill(NodeKill):
    """SIGKILL of the active's engine alone; the node starts another one."""

    def strike(self) -> None:
        os.kill(self._engine_pid, signal.SIGKILL)

    def mend(self) -> None:
        """Leaves that to the node."""


class NodeStop(NodeKill):
    """SIGSTOP of the active's node."""

    def strike(self) -> None:
        self._active.signal(signal.SIGSTOP)

    def mend(self) -> None:
        self._active.signal(signal.SIGCONT)


async def first_frame(passive: Node, term: int, ready: asyncio.Event) -> float:
    """When an observer at the passive sees the first tick of a later term."""
    corner = (0.0, 0.0, 0.0)
    async with AreaClient([passive.url], token=TOKEN) as client:
        frame: Frame
        async for frame in client.observe(corner, (0.5, 0.5, 0.5)):
            ready.set()
            if frame.term > term:
                return time.perf_counter()
    raise AssertionError("the observation ended")


async def ready_pair(pair: RunningPair) -> tuple[Node, Node]:
    """The active and the passive, when the passive could take over."""

    async def look() -> tuple[Node, Node] | None:
        active, passive = await pair.wait_until_redundant(60)
        status = (await pair.statuses()).get(passive.name)
        capable = status is not None and status.engine_pid is not None and status.simulator is None
        return (active, passive) if capable else None

    return await until(look, "the passive has an engine", 60)


async def strike(pair: RunningPair, entity: int, kind: type[NodeKill]) -> tuple[float, float]:
    """One loss of the active: ms to the first tick of the new active, and to the first acknowledged command."""
    active, passive = await ready_pair(pair)
    status = await active.client.status()
    assert status.engine_pid is not None
    loss = kind(active, status.engine_pid)
    ready = asyncio.Event()
    seen = asyncio.create_task(first_frame(passive, status.term, ready))
    await ready.wait()
    await pair.client.send(impulses(entity))  # the client knows the active, as a busy one does
    await asyncio.sleep(_CALM + random.random() / pair.area.tick_rate)
    began = time.perf_counter()
    loss.strike()
    await pair.client.send(impulses(entity))
    acknowledged = time.perf_counter()
    tick = await asyncio.wait_for(seen, 10)
    loss.mend()
    return (tick - began) * 1e3, (acknowledged - began) * 1e3


class Gaps(msgspec.Struct):
    """What followed the losses of an active: ms to the first tick and acknowledgement, and elections."""

    ticks: list[float] = []
    acknowledgements: list[float] = []
    elections: int = 0


async def _gaps(folder: Path, area: AreaSpec, n: int, kind: type[NodeKill]) -> Gaps:
    gaps = Gaps()
    async with RunningPair(folder, area) as pair:
        entity = await some_entity(pair.client)
        for _ in range(n):
            tick, acknowledged = await strike(pair, entity, kind)
            gaps.ticks.append(tick)
            gaps.acknowledgements.append(acknowledged)
            active = await until(pair.active, "there is an active")
            gaps.elections += (await active.client.status()).succession is not Succession.HANDED_OVER
    return gaps


async def losses(folder: Path, n: int, entities: int = 1000) -> list[Figure]:
    """Kill -9 of the active's node at 60 and 20 Hz."""
    figures = []
    for hertz in _HERTZ:
        area = spec(entities=entities, tick_rate=hertz)
        gaps = await _gaps(folder / f"losses-{entities}-{hertz:g}", area, n, NodeKill)
        name = f"kill -9 of the active's node, {entities:,} entities, {hertz:g} Hz"
        figures += [
            times(f"{name}: to the first tick", gaps.ticks, p50=12, p99=45),
            times(f"{name}: to the first acknowledged command", gaps.acknowledgements, p50=12, p99=45),
        ]
    return figures


async def engine_losses(folder: Path, n: int, entities: int = 100_000) -> list[Figure]:
    """Kill -9 of the active's engine at 60 and 20 Hz."""
    figures = []
    for hertz in _HERTZ:
        area = spec(entities=entities, tick_rate=hertz)
        gaps = await _gaps(folder / f"engine-losses-{hertz:g}", area, n, EngineKill)
        name = f"kill -9 of the active's engine, {entities:,} entities, {hertz:g} Hz"
        figures += [
            times(f"{name}: to the first tick", gaps.ticks, p50=12, p99=40),
            times(f"{name}: to the first acknowledged command", gaps.acknowledgements, p50=12, p99=40),
            single(f"{name}: elections in place of a transfer", "", gaps.elections, at_most=0, n=n),
        ]
    return figures


async def stops(folder: Path, n: int) -> list[Figure]:
    """SIGSTOP of the active's node."""
    gaps = await _gaps(folder / "stops", spec(entities=1000), n, NodeStop)
    name = "SIGSTOP of the active's node to the first acknowledged command, 20 Hz"
    return [times(name, gaps.acknowledgements, p50=300, p99=500)]


async def switchovers(folder: Path, n: int) -> list[Figure]:
    """Planned changes."""
    gaps = []
    async with RunningPair(folder / "switch", spec(entities=1000)) as pair:
        for _ in range(n):
            active, _passive = await pair.wait_until_redundant()
            await asyncio.sleep(random.random() * 0.2)
            gaps.append((await active.client.switchover()).gap_ms)
    return [times("switchover: last commit of the old to the first tick of the new active", gaps, p99=20)]
