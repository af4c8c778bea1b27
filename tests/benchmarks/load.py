"""Commands per second, ticks, processor time of both replicas, and memory."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from pairsim.client import AreaClient
from pairsim.model.assignment import Assignment
from tests.benchmarks.bare import mean_tick
from tests.benchmarks.figures import Figure, single, times
from tests.benchmarks.metrics import difference, scrape
from tests.harness import TOKEN, Node, RunningPair, impulses, reachable, some_entity, spec, until


async def commands(folder: Path, seconds: float) -> list[Figure]:
    """Through one session in batches of 100, and over HTTP one at a time from 32 clients."""
    async with RunningPair(folder / "commands", spec(entities=1000)) as pair:
        entity = await some_entity(pair.client)
        waits: list[float] = []

        async def stream(send: object, size: int, until_time: float) -> int:
            done = 0
            while time.perf_counter() < until_time:
                began = time.perf_counter()
                done += len(await send(impulses(entity, size)))  # type: ignore[operator]
                waits.append((time.perf_counter() - began) * 1e3)
            return done

        async with pair.client.session() as session:
            end = time.perf_counter() + seconds
            total = sum(await asyncio.gather(*(stream(session.send, 100, end) for _ in range(12))))
        figures = [
            single("commands through one session, batches of 100", "1/s", total / seconds, at_least=20_000, n=total),
            times("the same, to the acknowledgement of a batch", waits, p99=100),
        ]
        waits.clear()
        end = time.perf_counter() + seconds
        total = sum(await asyncio.gather(*(stream(pair.client.send, 1, end) for _ in range(32))))
        figures.append(single("commands over HTTP, one a request, 32 at a time", "1/s", total / seconds, n=total))
        figures.append(times("the same, to the acknowledgement", waits))
        return figures


async def _watch_ticks(pair: RunningPair, seconds: float) -> tuple[dict[str, float], float, float]:
    """The active's metrics over a while, and both replicas' processor time a second."""
    active, passive = await pair.wait_until_redundant(120)
    await asyncio.sleep(2)
    before, cpu = await scrape(active), (active.cpu(), passive.cpu())
    began = time.perf_counter()
    await asyncio.sleep(seconds)
    spent = time.perf_counter() - began
    after = await scrape(active)
    return difference(before, after), (active.cpu() - cpu[0]) / spent, (passive.cpu() - cpu[1]) / spent


async def ticks(folder: Path, seconds: float) -> list[Figure]:
    """What replication costs the active, and what it costs the passive."""
    figures = []
    for entities, collisions in ((1_000, False), (10_000, False), (100_000, False), (100_000, True)):
        kind = "collisions" if collisions else "motion"
        name = f"{entities:,} entities with {kind}, 20 Hz"
        async with RunningPair(
            folder / f"ticks-{entities}-{kind}", spec(entities=entities, collisions=collisions)
        ) as pair:
            with_, active_cpu, passive_cpu = await _watch_ticks(pair, seconds)
            _active, passive = await pair.wait_until_redundant()
            passive.kill()
            await asyncio.sleep(2)
            before = await scrape(_active)
            await asyncio.sleep(seconds)
            without = difference(before, await scrape(_active))
        bare = await mean_tick(spec(entities=entities, collisions=collisions), seconds)
        tick, alone = with_["tick_mean_ms"], without["tick_mean_ms"]
        goal = 1.10 if (entities, collisions) == (100_000, True) else None
        share = 0.25 if (entities, collisions) == (100_000, True) else None
        figures += [
            single(f"tick, mean: {name}", "ms", tick, n=int(with_["ticks"])),
            single(f"tick with a passive / without: {name}", "", tick / alone, at_most=goal),
            single(f"tick with a passive / the simulator's step without pairsim: {name}", "", tick / bare),
            single(f"state stream: {name}", "kB/tick", with_["sync_bytes"] / with_["ticks"] / 1e3),
            single(f"processor time, passive / active: {name}", "", passive_cpu / active_cpu, at_most=share),
        ]
    return figures


async def capacity(folder: Path, seconds: float) -> list[Figure]:
    """The largest areas that must fit into a tick of 50 ms."""
    figures = []
    for entities, collisions in ((1_000_000, False), (200_000, True)):
        kind = "collisions" if collisions else "motion"
        async with RunningPair(folder / f"capacity-{kind}", spec(entities=entities, collisions=collisions)) as pair:
            active, _passive = await pair.wait_until_redundant(120)
            await asyncio.sleep(2)
            before = await scrape(active)
            await asyncio.sleep(seconds)
            seen = difference(before, await scrape(active))
            figures += [
                single(
                    f"tick p99, {entities:,} entities with {kind}, replicated", "ms", seen["tick_p99_ms"], at_most=50
                ),
                single(f"ticks a second, {entities:,} entities with {kind}", "1/s", seen["ticks"] / seconds),
            ]
    return figures


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
            single("resident memory of a spare", "MB", spare.memory(), at_most=60),
            single("resident memory of a witness with 10 areas", "MB", witness.memory(), at_most=60),
        ]
    finally:
        for node in (spare, witness):
            node.kill()
            await node.client.close()


async def calm(folder: Path, minutes: float) -> list[Figure]:
    """Takeovers that nobody caused, with both cores busy."""
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
