"""Reads a process's own metrics."""

from __future__ import annotations

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.harness import Node

Scrape = dict[str, float]


async def scrape(node: Node) -> Scrape:
    """All samples, by name and labels."""
    async with aiohttp.ClientSession() as session, session.get(f"{node.url}/metrics") as answer:
        text = await answer.text()
    return {
        sample.name + "".join(f",{k}={v}" for k, v in sorted(sample.labels.items()) if k != "area"): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def difference(before: Scrape, after: Scrape) -> dict[str, float]:
    """What happened between two scrapes: ticks, their mean and p99 in ms, bytes of the state stream."""

    def grown(name: str) -> float:
        return after.get(name, 0.0) - before.get(name, 0.0)

    count = grown("pairsim_tick_seconds_count")
    bounds = sorted(
        (float(key.split("le=")[1]), grown(key)) for key in after if key.startswith("pairsim_tick_seconds_bucket")
    )
    p99 = next((bound for bound, cumulative in bounds if cumulative >= 0.99 * count), float("inf"))
    return {
        "ticks": count,
        "tick_mean_ms": grown("pairsim_tick_seconds_sum") / count * 1e3 if count else float("nan"),
        "tick_p99_ms": p99 * 1e3,
        "sync_bytes": grown("pairsim_sync_bytes_total"),
    }
