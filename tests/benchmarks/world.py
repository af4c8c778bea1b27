"""Commands a second through one client of a world of four areas, in which the entities move and cross."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from pathlib import Path

from pairsim.client import WorldClient
from pairsim.model.commands import Command, Status
from tests.benchmarks.figures import Figure, single, times
from tests.process.world.running_worlds import RunningWorld, until

AREAS, WIDTH = 4, 250
ENTITIES, BATCH, UNDER_WAY = 4_000, 100, 16

_PLANE = f"""
apiVersion: pairsim.io/v1alpha1
kind: Plane
metadata: {{name: physics}}
spec:
  simulator: physics
  tickRate: 20
  bounds: {{min: [0, 0, 0], max: [{AREAS * WIDTH}, 100, 100]}}
"""
_AREA = """---
apiVersion: pairsim.io/v1alpha1
kind: Area
metadata: {{name: area-{number}}}
spec:
  plane: physics
  bounds: {{min: [{low}, 0, 0], max: [{high}, 100, 100]}}
  entities: 0
"""


async def world(folder: Path, seconds: float) -> list[Figure]:
    """Through one `WorldClient`, in batches of 100 to entities of all areas."""
    folder = folder / "world"
    folder.mkdir()
    made = RunningWorld(folder)
    made.file.write_text(
        _PLANE + "".join(_AREA.format(number=n, low=n * WIDTH, high=(n + 1) * WIDTH) for n in range(AREAS))
    )
    made.start("--spares", "0")
    try:
        await asyncio.to_thread(made.wait_for, "the world is ready: .*")
        await asyncio.to_thread(
            until,
            lambda: all(area.version > 0 and area.redundant for area in made.status().areas),
            "the areas know the map",
            made.messages,
        )
        async with WorldClient([f"http://127.0.0.1:{made.port}"]) as client:
            return await _measure(client, seconds)
    finally:
        made.close()


async def _measure(client: WorldClient, seconds: float) -> list[Figure]:
    chance = random.Random(1)
    for first in range(0, ENTITIES, BATCH):
        await client.send([_spawn(entity, chance) for entity in range(first + 1, first + BATCH + 1)])
    numbers = iter(range(10**9))
    waits: list[float] = []
    statuses: Counter[Status] = Counter()
    began_all = time.perf_counter()

    async def stream() -> None:
        while time.perf_counter() < began_all + seconds:
            batch = [
                Command(f"b{next(numbers)}", "impulse", chance.randint(1, ENTITIES), {"impulse": [0.0, 0.0, 0.0]})
                for _ in range(BATCH)
            ]
            began = time.perf_counter()
            results = await client.send(batch)
            waits.append((time.perf_counter() - began) * 1e3)
            statuses.update(result.status for result in results)

    await asyncio.gather(*(stream() for _ in range(UNDER_WAY)))
    took = time.perf_counter() - began_all
    applied = statuses[Status.APPLIED]
    assert applied == statuses.total(), f"not all commands were applied: {statuses}"
    name = f"acknowledged commands through one WorldClient, {AREAS} areas, {UNDER_WAY} batches of {BATCH} under way"
    return [
        single(name, "1/s", applied / took, at_least=20_000, n=applied),
        times("the same, to the acknowledgement of a batch", waits, p99=100),
    ]


def _spawn(entity: int, chance: random.Random) -> Command:
    place = [chance.uniform(0, AREAS * WIDTH), chance.uniform(0, 100), chance.uniform(0, 100)]
    return Command(f"s{entity}", "spawn", entity, {"position": place, "velocity": [chance.uniform(-5, 5), 0.0, 0.0]})
