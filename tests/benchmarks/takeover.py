"""How long an area stands still: kill -9, SIGSTOP, switchover; as a client sees it."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from pathlib import Path

from pairsim.client import AreaClient
from pairsim.protocol.frames import Frame
from tests.benchmarks.figures import Figure, times
from tests.harness import TOKEN, Node, RunningPair, impulses, some_entity, spec

_CALM = 0.3


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


async def strike(pair: RunningPair, entity: int, number: signal.Signals) -> tuple[float, float]:
    """One loss of the active: ms to the first tick of the new active, and to the first acknowledged command."""
    active, passive = await pair.wait_until_redundant()
    status = await active.client.status()
    ready = asyncio.Event()
    seen = asyncio.create_task(first_frame(passive, status.term, ready))
    await ready.wait()
    await pair.client.send(impulses(entity))  # the client knows the active, as a busy one does
    await asyncio.sleep(_CALM + random.random() / pair.area.tick_rate)
    began = time.perf_counter()
    active.signal(number)
    await pair.client.send(impulses(entity))
    acknowledged = time.perf_counter()
    tick = await asyncio.wait_for(seen, 10)
    if number == signal.SIGSTOP:
        active.signal(signal.SIGCONT)
    else:
        active.kill()
        active.start()
    return (tick - began) * 1e3, (acknowledged - began) * 1e3


async def losses(folder: Path, n: int) -> list[Figure]:
    """Kill -9 and SIGSTOP at 60 and 20 Hz."""
    figures = []
    for hertz, p50, p99 in ((60.0, 35.0, 80.0), (20.0, 60.0, 120.0)):
        async with RunningPair(folder / f"kill-{hertz}", spec(entities=1000, tick_rate=hertz)) as pair:
            entity = await some_entity(pair.client)
            pairs = [await strike(pair, entity, signal.SIGKILL) for _ in range(n)]
            ticks, acks = [p[0] for p in pairs], [p[1] for p in pairs]
            figures.append(times(f"kill -9 to the new active's first tick, {hertz:g} Hz", ticks, p50=25, p99=60))
            figures.append(times(f"kill -9 to the first acknowledged command, {hertz:g} Hz", acks, p50=p50, p99=p99))
    async with RunningPair(folder / "stop", spec(entities=1000)) as pair:
        entity = await some_entity(pair.client)
        pairs = [await strike(pair, entity, signal.SIGSTOP) for _ in range(max(n // 2, 5))]
        figures.append(
            times("SIGSTOP to the first acknowledged command, 20 Hz", [p[1] for p in pairs], p50=300, p99=500)
        )
    return figures


async def switchovers(folder: Path, n: int) -> list[Figure]:
    """Planned changes."""
    gaps = []
    async with RunningPair(folder / "switch", spec(entities=1000)) as pair:
        for _ in range(n):
            active, _passive = await pair.wait_until_redundant()
            await asyncio.sleep(random.random() * 0.2)
            gaps.append((await active.client.switchover()).gap_ms)
    return [times("switchover: last commit of the old to the first tick of the new active", gaps, p99=20)]
