"""The verdict, the console and Prometheus report the same about one experiment."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp

from tests.process.chaos.attacked_worlds import EXPERIMENTS, run
from tests.process.monitoring.prometheus import Prometheus
from tests.process.monitoring.test_alerts import TAKEN_OVER, redundant, scraped
from tests.process.world.running_worlds import RunningWorld, until

Change = tuple[str, int, str, str]
"""An area, a term, and the names of the old and the new active."""


def test_the_verdict_the_console_and_prometheus_agree(world: RunningWorld, prometheus: Prometheus) -> None:
    until(lambda: redundant(prometheus), "both areas are redundant", world.status)
    before = shown(world)
    code, verdicts, output = run(world, str(EXPERIMENTS / "kill-active.yaml"))
    assert code == 0, output
    (killed,) = verdicts["experiments"]
    judged = {(seen["area"], seen["term"], seen["before"], seen["after"]) for seen in killed["takeovers"]}
    assert {change[2] for change in judged} == set(killed["targets"])

    until(lambda: shown(world) >= judged, "the console shows them", lambda: shown(world))
    assert shown(world) - before == judged
    for area, term, _gone, active in judged:
        until(
            lambda area=area, active=active: (active, "active") in scraped(prometheus, area),
            f"{active} is the active of {area}",
            prometheus.firing,
        )
        # The next generation, with the spare, may have started another term already.
        assert (prometheus.value(f'max(pairsim_term{{area="{area}"}})') or 0) >= term
        until(lambda area=area: (TAKEN_OVER, area) in prometheus.firing(), "the alert fires", prometheus.firing)


def shown(world: RunningWorld) -> set[Change]:
    """Returns the takeovers in the console's timeline."""
    events = asyncio.run(_timeline(world.port))
    return {(e["area"], e["term"], e["before"], e["replica"]) for e in events if e["kind"] == "takeover"}


async def _timeline(port: str) -> list[dict[str, Any]]:
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"http://127.0.0.1:{port}/v1/console") as socket,
        asyncio.timeout(10),
    ):
        while True:
            message = json.loads(await socket.receive_str())
            if message["kind"] == "world":
                events: list[dict[str, Any]] = message["events"]
                return events
