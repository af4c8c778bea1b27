"""Follows a sphere over the border between two areas, and pushes it on wherever it is."""

from __future__ import annotations

import asyncio
import sys
import time

import numpy as np

import pairsim
from pairsim.protocol.interest import AreaSnapshot, apply

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
SPHERE = 2**52 + time.time_ns() // 1000
"""An id above those that areas create; another run has another one."""

SECONDS = 60.0


async def push(world: pairsim.WorldClient) -> None:
    """Pushes the sphere to the east, ten times a second."""
    while True:
        command = pairsim.Command(pairsim.new_id(), "impulse", SPHERE, {"impulse": [1, 0, 0]})
        (result,) = await world.send([command])
        if result.status is not pairsim.Status.APPLIED:
            print(f"{result.status}: {result.reason}", flush=True)
        await asyncio.sleep(0.1)


async def follow(world: pairsim.WorldClient) -> None:
    """Prints where the sphere is, until it has been in both areas."""
    content: AreaSnapshot | None = None
    before = ""
    async for frame in world.observe(components=["position"], hz=10):
        content = apply(content, frame)
        (places,) = np.nonzero(content.ids == SPHERE)
        if len(places) != 1:
            sys.exit(f"the sphere is there {len(places)} times")
        x = float(content.columns["position"][places[0], 0])
        area = "west" if x < 100 else "east"
        if area != before:
            print(f"x = {x:.1f} m: in {area}", flush=True)
        if {before, area} == {"west", "east"}:
            return
        before = area


async def main() -> None:
    async with pairsim.WorldClient([f"http://127.0.0.1:{PORT}"], plane="physics") as world:
        components = {"position": [95.0, 50.0, 25.0], "velocity": [2.0, 0.0, 0.0]}
        await world.send([pairsim.Command(pairsim.new_id(), "spawn", SPHERE, components)])
        pushing = asyncio.create_task(push(world))
        try:
            async with asyncio.timeout(SECONDS):
                await follow(world)
        finally:
            pushing.cancel()
        found = await world.locate(SPHERE)
        print(f"the world says: in {found.area if found else 'no area'}")
        await world.send([pairsim.Command(pairsim.new_id(), "despawn", SPHERE)])


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except pairsim.ClientError as error:
        sys.exit(str(error))
