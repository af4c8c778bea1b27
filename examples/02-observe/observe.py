"""Follows the entities in a box of an area for 100 ticks."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import urllib.request

import pairsim

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
TICKS = 100
LOW, HIGH = (0, 0, 0), (50, 50, 50)


def process_urls() -> list[str]:
    """Returns the URLs of all processes of the world: any of them may serve the area later."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/v1/world") as answer:
            world = json.load(answer)
    except OSError:
        sys.exit(f"no world answers on port {PORT}: start one with `pairsim up examples/two-areas.yaml`")
    return [r["url"] for a in world["areas"] for r in a["replicas"]] + [spare["url"] for spare in world["spares"]]


async def main() -> None:
    inside, last, end = 0, 0, 0
    async with pairsim.AreaClient(process_urls(), area="west") as client:
        async for frame in client.observe(LOW, HIGH, components=["position"]):
            left = len(frame.leave) // 8
            inside = len(frame.enter) if frame.keyframe else inside + len(frame.enter) - left
            if frame.tick <= last:
                sys.exit("a tick came twice")
            last, end = frame.tick, end or frame.tick + TICKS
            print(
                f"tick {frame.tick}, term {frame.term}: {inside} inside, {len(frame.enter)} entered, {left} left",
                flush=True,
            )
            if frame.tick >= end:
                return


try:
    asyncio.run(main())
except BrokenPipeError:  # the reader of a pipe has ended, such as `head`
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes the output at its end
