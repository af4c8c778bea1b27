"""Sends commands to an area of a local world and prints their results."""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.request

import pairsim

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
ENTITY = 2**40


def process_urls() -> list[str]:
    """Returns the URLs of all processes of the world: any of them may serve the area later."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/v1/world") as answer:
            world = json.load(answer)
    except OSError:
        sys.exit(f"no world answers on port {PORT}: start one with `pairsim up examples/two-areas.yaml`")
    return [r["url"] for a in world["areas"] for r in a["replicas"]] + [spare["url"] for spare in world["spares"]]


async def main() -> None:
    push = pairsim.Command(pairsim.new_id(), "impulse", ENTITY, {"impulse": [1, 0, 0]})
    async with pairsim.AreaClient(process_urls(), area="west") as client:
        for command in (
            pairsim.Command(pairsim.new_id(), "spawn", ENTITY, {"position": [10, 10, 10]}),
            push,
            push,  # the same id again
            pairsim.Command(pairsim.new_id(), "despawn", ENTITY),
        ):
            (result,) = await client.send([command])
            print(f"{command.op}: {result.status} in tick {result.tick} {result.reason}".rstrip())


asyncio.run(main())
