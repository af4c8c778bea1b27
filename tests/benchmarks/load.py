"""Commands per second, and memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from pairsim.model.assignment import Assignment
from pairsim.model.commands import Result
from tests.benchmarks.figures import Figure, single, times
from tests.harness import Node, RunningPair, impulses, reachable, some_entity, spec, until

Send = Callable[[int], Awaitable[Sequence[Result]]]
"""Sends so many commands."""


async def _stream(send: Send, size: int, end: float, waits: list[float]) -> int:
    """Sends batches until a time; returns the number of acknowledged commands."""
    done = 0
    while time.perf_counter() < end:
        began = time.perf_counter()
        done += len(await send(size))
        waits.append((time.perf_counter() - began) * 1e3)
    return done


async def session(folder: Path, seconds: float) -> list[Figure]:
    """Through one session, in batches of 100."""
    async with RunningPair(folder / "session", spec(entities=1000)) as pair:
        entity = await some_entity(pair.client)
        waits: list[float] = []
        async with pair.client.session() as opened:
            end = time.perf_counter() + seconds
            streams = (_stream(lambda n: opened.send(impulses(entity, n)), 100, end, waits) for _ in range(12))
            total = sum(await asyncio.gather(*streams))
    name = "acknowledged commands through one session, 12 batches of 100 under way"
    return [
        single(name, "1/s", total / seconds, at_least=24_000, n=total),
        times("the same, to the acknowledgement of a batch", waits, p99=60),
    ]


async def requests(folder: Path, seconds: float) -> list[Figure]:
    """Over HTTP, one at a time from 32 clients."""
    async with RunningPair(folder / "requests", spec(entities=1000)) as pair:
        entity = await some_entity(pair.client)
        waits: list[float] = []
        end = time.perf_counter() + seconds
        streams = (_stream(lambda n: pair.client.send(impulses(entity, n)), 1, end, waits) for _ in range(32))
        total = sum(await asyncio.gather(*streams))
    return [
        single("commands over HTTP, one a request, 32 at a time", "1/s", total / seconds, n=total),
        times("the same, to the acknowledgement", waits),
    ]


async def memory(folder: Path) -> list[Figure]:
    """A spare, and a witness with ten areas."""
    spare, witness = Node("s", folder / "memory"), Node("w", folder / "memory")
    replicas = [Node(f"r{n}", folder / "memory") for n in range(2)]
    try:
        for node in (spare, witness):
            node.start()
            await until(lambda node=node: reachable(node), f"{node.name} answers")
        for number in range(10):
            area = spec(entities=10, area=f"area-{number}")
            first, second = (node.member for node in replicas)
            await witness.client.assign(
                Assignment(spec=area, generation=1, replicas=(first, second), witness=witness.member)
            )
        await asyncio.sleep(1)
        return [
            single("resident memory of a spare", "MB", spare.memory(), at_most=45),
            single("of that, what it does not share with other processes", "MB", _own_memory(spare)),
            single("resident memory of a witness with 10 areas", "MB", witness.memory(), at_most=60),
        ]
    finally:
        for node in (spare, witness):
            node.kill()
            await node.client.close()


def _own_memory(node: Node) -> float:
    """The private memory in MB."""
    rows = [line.split() for line in Path(f"/proc/{node.pid}/smaps_rollup").read_text().splitlines()]
    return sum(int(row[1]) for row in rows if row[0].startswith("Private_")) / 1000
