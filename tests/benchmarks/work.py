"""What an area costs: ticks beside bare steps, commits while the engine works, processors, and the state stream."""

from __future__ import annotations

import asyncio
import statistics
from pathlib import Path

import msgspec
import psutil

from pairsim.model.area import AreaSpec
from tests.benchmarks.bare import bare_ticks
from tests.benchmarks.figures import Figure, single, times
from tests.benchmarks.metrics import difference, scrape
from tests.benchmarks.recorded import COMMITS, STEPS, TICKS, durations, recorded_node
from tests.harness import Node, RunningPair, spec

_SETTLE_SECONDS = 3.0
_KINDS = (TICKS, STEPS, COMMITS)


class Watched(msgspec.Struct, frozen=True):
    """What a pair did in a while.

    Attributes:
        ticks, steps, commits: Durations in ms; a step is a part of the tick at the same place.
        active, passive: Processor time of node and engine, in seconds a second.
        active_engine, passive_engine: The share of the engine in it.
        seconds: How long the while was.
    """

    ticks: list[float]
    steps: list[float]
    commits: list[float]
    active: float
    passive: float
    active_engine: float
    passive_engine: float
    seconds: float


async def _engine_cpu(node: Node) -> float:
    """The processor time of the engine so far, in seconds."""
    pid = (await node.client.status()).engine_pid
    used = psutil.Process(pid).cpu_times()
    return float(used.user + used.system)


async def watch(folder: Path, area: AreaSpec, seconds: float) -> Watched:
    """Starts a pair and watches it."""
    async with RunningPair(folder, area, node=recorded_node) as pair:
        active, passive = await pair.wait_until_redundant(120)
        await asyncio.sleep(_SETTLE_SECONDS)
        first = [len(durations(active, kind)) for kind in _KINDS]
        loop = asyncio.get_running_loop()
        began, before = loop.time(), [(node.cpu(), await _engine_cpu(node)) for node in (active, passive)]
        await asyncio.sleep(seconds)
        after = [(node.cpu(), await _engine_cpu(node)) for node in (active, passive)]
        spent = loop.time() - began
        (node_a, engine_a), (node_p, engine_p) = (
            ((b[0] - a[0]) / spent, (b[1] - a[1]) / spent) for a, b in zip(before, after, strict=True)
        )
        assert (await pair.active()) is active, "the active has changed"
        ticks, steps, commits = (durations(active, kind, n) for kind, n in zip(_KINDS, first, strict=True))
        return Watched(ticks, steps, commits, node_a + engine_a, node_p + engine_p, engine_a, engine_p, spent)


async def overhead(folder: Path, seconds: float) -> list[Figure]:
    """Ticks of a replicated area, and the same steps in a process without pairsim, which also waits between them.

    The bare process has the machine for itself. In the replicated world the step itself takes longer, since the passive
    and the witness share processors and caches with it: what is beside the step of the same tick is pairsim's own part.
    """
    figures = []
    for entities, collisions in ((1_000, False), (100_000, True)):
        kind = "colliding" if collisions else "moving"
        area = spec(entities=entities, collisions=collisions)
        seen = await watch(folder / f"overhead-{kind}", area, seconds)
        bare = await bare_ticks(area, seconds)
        name = f"{entities:,} {kind} entities, 20 Hz, replicated"
        longer = statistics.median(seen.ticks) - statistics.median(bare)
        ratio = statistics.median(seen.ticks) / statistics.median(bare)
        means = statistics.mean(seen.ticks) / statistics.mean(bare)
        beside = [tick - step for tick, step in zip(seen.ticks, seen.steps, strict=False)]
        figures += [
            times(f"tick: {name}", seen.ticks),
            times(f"the step in its engine: {name}", seen.steps),
            times(f"the tick beside its step: {name}", beside),
            times(f"bare step: {name}", bare),
            single(f"tick - bare step, p50: {name}", "ms", longer, at_most=None if collisions else 0.4),
            single(f"tick / bare step, p50: {name}", "", ratio, at_most=1.15 if collisions else None),
            single(f"tick / bare step, mean: {name}", "", means),
        ]
    return figures


async def commits(folder: Path, seconds: float) -> list[Figure]:
    """From a tick's record in the log to its commit, while the engine computes the tick."""
    seen = await watch(folder / "commits", spec(entities=100_000, collisions=True), seconds)
    return [times("commit of a tick while its engine computes it, 100,000 colliding entities", seen.commits, p99=3)]


async def million(folder: Path, seconds: float) -> list[Figure]:
    """A million moving entities."""
    seen = await watch(folder / "million", spec(entities=1_000_000), seconds)
    name = "1,000,000 moving entities, 20 Hz, replicated"
    return [
        times(f"tick: {name}", seen.ticks, p99=12),
        single(f"ticks a second: {name}", "1/s", len(seen.ticks) / seen.seconds, at_least=19.8, n=len(seen.ticks)),
    ]


async def processors(folder: Path, seconds: float) -> list[Figure]:
    """Processor time of both replicas, nodes and engines."""
    seen = await watch(folder / "processors", spec(entities=100_000, collisions=True), seconds)
    name = "100,000 colliding entities, 20 Hz"
    return [
        single(f"processor time of the passive / of the active: {name}", "", seen.passive / seen.active, at_most=0.2),
        single(f"processor time of the active: {name}", "s/s", seen.active),
        single(f"that of its engine: {name}", "s/s", seen.active_engine),
        single(f"processor time of the passive: {name}", "s/s", seen.passive),
        single(f"that of its engine: {name}", "s/s", seen.passive_engine),
    ]


async def crowds(folder: Path, seconds: float) -> list[Figure]:
    """The largest area with collisions that must fit into a tick of 50 ms."""
    seen = await watch(folder / "crowds", spec(entities=200_000, collisions=True), seconds)
    name = "200,000 colliding entities, 20 Hz, replicated"
    return [
        times(f"tick: {name}", seen.ticks, p99=50),
        single(f"ticks a second: {name}", "1/s", len(seen.ticks) / seen.seconds, n=len(seen.ticks)),
    ]


async def stream(folder: Path, seconds: float) -> list[Figure]:
    """The state stream, and what a passive costs the active."""
    figures = []
    for entities, collisions in ((1_000, False), (10_000, False), (100_000, False), (100_000, True)):
        kind = "colliding" if collisions else "moving"
        name = f"{entities:,} {kind} entities, 20 Hz"
        area = spec(entities=entities, collisions=collisions)
        async with RunningPair(folder / f"stream-{entities}-{kind}", area) as pair:
            active, passive = await pair.wait_until_redundant(120)
            seen = []
            for _ in range(2):
                await asyncio.sleep(_SETTLE_SECONDS)
                before = await scrape(active)
                await asyncio.sleep(seconds)
                seen.append(difference(before, await scrape(active)))
                passive.kill()
        both, alone = seen
        ratio = both["tick_mean_ms"] / alone["tick_mean_ms"]
        figures += [
            single(f"state stream: {name}", "kB/tick", both["sync_bytes"] / both["ticks"] / 1e3, n=int(both["ticks"])),
            single(f"tick with a passive / without, mean: {name}", "", ratio, n=int(both["ticks"])),
        ]
    return figures
