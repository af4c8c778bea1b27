"""Entities that cross the border of two areas: how long one takes, also when the receiver dies, and how many can."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np

from pairsim.client import AreaClient
from pairsim.model.world_status import AreaStatusView
from tests.benchmarks.figures import Figure, single, times
from tests.process.world.running_worlds import RunningWorld, command, until

TICK_SECONDS = 0.05
STRIP = ((90.0, 0.0, 0.0), (110.0, 100.0, 50.0))
"""The box around the border that is observed."""

AFTER_KILL_SECONDS = 0.5
"""Entities that leave within this time after a kill count as those of the kill."""

_WORLD = """
apiVersion: pairsim.io/v1alpha1
kind: Plane
metadata: {{name: physics}}
spec:
  simulator: physics
  tickRate: 20
  bounds: {{min: [0, 0, 0], max: [200, 100, 50]}}
  parameters: {{speed: {speed}}}
---
apiVersion: pairsim.io/v1alpha1
kind: Area
metadata: {{name: west}}
spec: {{plane: physics, bounds: {{min: [0, 0, 0], max: [100, 100, 50]}}, entities: {entities}}}
---
apiVersion: pairsim.io/v1alpha1
kind: Area
metadata: {{name: east}}
spec: {{plane: physics, bounds: {{min: [100, 0, 0], max: [200, 100, 50]}}, entities: {entities}}}
"""


async def handovers(folder: Path, seconds: float, kills: int) -> list[Figure]:
    """From the tick in which an entity leaves an area to the first one in which the other area has it."""
    async with _running(folder / "handovers", entities=2_000, speed=10) as made:
        seen = _Sights()
        observers = [asyncio.create_task(seen.observe(made, name)) for name in ("west", "east")]
        try:
            await asyncio.sleep(seconds)
            calm = seen.take()
            struck: list[float] = []
            for _ in range(kills):
                await _redundant(made)
                seen.take()
                await asyncio.to_thread(command, "kill", "east", "--role", "active", "--port", made.port)
                began = time.perf_counter()
                await asyncio.sleep(2.0)
                struck += [took for left, took in seen.take() if began - 0.2 <= left <= began + AFTER_KILL_SECONDS]
        finally:
            for observer in observers:
                observer.cancel()
            await asyncio.gather(*observers, return_exceptions=True)
    tick = 1e3 * TICK_SECONDS
    name = "an entity leaves an area, to the first tick of the other one, 20 Hz"
    return [
        times(name, [1e3 * took for _left, took in calm], p50=tick, p99=2 * tick),
        times(f"the same within {AFTER_KILL_SECONDS:g} s of a kill -9 of the receiver's active, {kills} kills",
              [1e3 * took for took in struck], p99=4 * tick),
    ]  # fmt: skip


async def streams(folder: Path, seconds: float) -> list[Figure]:
    """Two areas of 50,000 entities, of which some thousand a second cross either way."""
    async with _running(folder / "streams", entities=50_000, speed=100) as made:
        await asyncio.sleep(2.0)
        before, began = _counts(made), time.perf_counter()
        await asyncio.sleep(seconds)
        after, took = _counts(made), time.perf_counter() - began
        pace = min(area.pace or 0.0 for area in made.status().areas)
    crossed = after[0] - before[0]
    ticks = (after[1] - before[1]) / took / 20.0
    name = "entities over one border, two areas of 50,000, 20 Hz"
    return [
        single(name, "1/s", crossed / took, at_least=20_000, n=crossed),
        single("the same, the share of the tick rate that the areas keep", "", min(ticks, pace), at_least=0.97),
    ]


class _Sights:
    """When entities left one area and came to the other one, as observers of both see it."""

    def __init__(self) -> None:
        self._left: dict[int, float] = {}
        self._took: list[tuple[float, float]] = []

    def take(self) -> list[tuple[float, float]]:
        """Returns when entities left, and how long they took, and forgets them."""
        taken, self._took = self._took, []
        return taken

    async def observe(self, made: RunningWorld, name: str) -> None:
        """Observes the border from one side, whichever replicas the area has."""
        urls = [r.url for area in made.status().areas for r in area.replicas] + [s.url for s in made.status().spares]
        async with AreaClient(urls, area=name, deadline=30.0) as client:
            async for frame in client.observe(*STRIP, components=["position"]):
                now = time.perf_counter()
                for moved in frame.moved.values():
                    self._left.update(dict.fromkeys(np.frombuffer(moved, "<i8").tolist(), now))
                if frame.keyframe:
                    continue
                for entity in np.frombuffer(frame.enter.ids, "<i8").tolist():
                    left = self._left.pop(entity, None)
                    if left is not None:
                        self._took.append((left, now - left))


@contextlib.asynccontextmanager
async def _running(folder: Path, *, entities: int, speed: float) -> AsyncIterator[RunningWorld]:
    made = _in_folder(folder)
    made.file.write_text(_WORLD.format(entities=entities, speed=speed))
    made.start()
    try:
        await asyncio.to_thread(made.wait_for, "the world is ready: .*")
        await asyncio.to_thread(
            until, lambda: all(a.version > 0 for a in made.status().areas), "the areas know the map", made.messages
        )
        yield made
    finally:
        made.close()


def _in_folder(folder: Path) -> RunningWorld:
    folder.mkdir(parents=True)
    return RunningWorld(folder)


async def _redundant(made: RunningWorld) -> None:
    await asyncio.to_thread(until, lambda: all(a.redundant for a in made.status().areas), "redundant", made.messages)


def _counts(made: RunningWorld) -> tuple[int, int]:
    """Returns how many entities have crossed, and the smallest tick."""
    areas = made.status().areas
    return sum(area.borders.sent for area in areas if area.borders), min(map(_tick, areas))


def _tick(area: AreaStatusView) -> int:
    return max(replica.tick for replica in area.replicas)
