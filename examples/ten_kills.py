"""Takes the active of every area ten times while commands flow, and checks that nothing is lost.

    make up                                     # in one terminal
    .venv/bin/python examples/ten_kills.py      # in another

For each area a client spawns entities, 500 a second, through the replicas. Every spawn that was acknowledged must be in
the state afterwards; an observer must never see a tick go back; the digests of both replicas must agree at the same
ticks; and redundancy must be back after every kill.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field

import click
from rich.console import Console
from rich.table import Table

from pairsim.client import AreaClient, new_id
from pairsim.model.commands import Command

BATCH = 25
FIRST_ENTITY = time.time_ns()
"""Every run has ids of its own: the entities of the one before are still there."""


@dataclass
class Ledger:
    """What one area was told and what it said."""

    area: str
    urls: list[str]
    acknowledged: set[int] = field(default_factory=set)
    rejected: list[str] = field(default_factory=list)
    longest: float = 0.0
    ticks: int = 0
    went_back: int = 0
    missing: int = 0
    digests: int = 0
    unequal: int = 0
    back: list[float] = field(default_factory=list)


def world(port: int) -> dict:
    """Areas and spares, as `pairsim status --json` shows them."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/world", timeout=5) as answer:
        return json.load(answer)


async def area(port: int, name: str) -> dict:
    """One of them."""
    return next(a for a in (await asyncio.to_thread(world, port))["areas"] if a["area"] == name)


def kill(port: int, name: str) -> None:
    """Kill -9 for the active."""
    body = json.dumps({"area": name, "role": "active"}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/kill", body, {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=5).close()


async def spawn(ledger: Ledger, bounds: dict, rate: float, stop: asyncio.Event) -> None:
    """Sends spawns at a steady rate; what gets no answer in time is sent again, with the same ids."""
    number, begun = 0, time.perf_counter()
    pending: set[asyncio.Task[None]] = set()
    async with AreaClient(ledger.urls, area=ledger.area) as client:

        async def one(batch: list[Command]) -> None:
            began = time.perf_counter()
            for result in await client.send(batch):
                if result.status == "applied":
                    ledger.acknowledged.add(int(result.id.partition("-")[2]))
                else:
                    ledger.rejected.append(f"{result.status}: {result.reason}")
            ledger.longest = max(ledger.longest, time.perf_counter() - began)

        while not stop.is_set():
            batch = []
            for _ in range(BATCH):
                place = [random.uniform(low, high) for low, high in zip(bounds["min"], bounds["max"], strict=True)]
                entity = FIRST_ENTITY + number
                batch.append(Command(f"{new_id()[:8]}-{entity}", "spawn", entity, {"position": place}))
                number += 1
            pending.add(task := asyncio.create_task(one(batch)))
            task.add_done_callback(pending.discard)
            await asyncio.sleep(max(0.0, begun + number / rate - time.perf_counter()))
        await asyncio.gather(*pending)


async def observe(ledger: Ledger, stop: asyncio.Event) -> None:
    """Watches a corner of the area at every tick, whichever replica shows it."""
    last = (0, 0)
    async with AreaClient(ledger.urls, area=ledger.area) as client:
        async for frame in client.observe((0, 0, 0), (1, 1, 1)):
            ledger.ticks += 1
            ledger.went_back += frame.term < last[0] or frame.tick <= last[1]
            last = (frame.term, frame.tick)
            if stop.is_set():
                return


async def redundant(port: int, name: str, seconds: float = 30.0) -> None:
    """Waits for it."""
    async with asyncio.timeout(seconds):
        while not (await area(port, name))["redundant"]:
            await asyncio.sleep(0.02)


async def check(port: int, ledger: Ledger) -> None:
    """Compares what was acknowledged with what is there, and the replicas with each other."""
    there: set[int] = set()
    after = FIRST_ENTITY - 1
    async with AreaClient(ledger.urls, area=ledger.area) as client:
        while True:
            page = await client.entities(limit=1000, after=after)
            there.update(entity.id for entity in page.entities)
            if page.next is None:
                break
            after = page.next
    ledger.missing = len(ledger.acknowledged - there)
    digests = []
    for replica in (await area(port, ledger.area))["replicas"]:
        async with AreaClient([replica["url"]], area=ledger.area) as client:
            newest = (await client.status()).tick
            digests.append(await client.digests(max(0, newest - 1000), newest))
    same = digests[0].keys() & digests[1].keys()
    ledger.digests = len(same)
    ledger.unequal = sum(digests[0][tick] != digests[1][tick] for tick in same)


async def run(port: int, kills: int, rate: float) -> bool:
    """The whole proof."""
    seen = world(port)
    # Any process may have any area later: the client is told all of them, and the area that it wants.
    urls = [r["url"] for a in seen["areas"] for r in a["replicas"]] + [spare["url"] for spare in seen["spares"]]
    ledgers = [Ledger(a["area"], urls) for a in seen["areas"]]
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for ledger in ledgers:
            bounds = (await area(port, ledger.area))["bounds"]
            group.create_task(spawn(ledger, bounds, rate / len(ledgers), stop))
            group.create_task(observe(ledger, stop))
        for number in range(1, kills + 1):
            await asyncio.sleep(1.0)
            for ledger in ledgers:
                await redundant(port, ledger.area)
                await asyncio.to_thread(kill, port, ledger.area)
                began = time.perf_counter()
                await asyncio.sleep(0.1)
                await redundant(port, ledger.area)
                ledger.back.append(time.perf_counter() - began)
            print(
                f"kill {number} of {kills}: redundant again after "
                + ", ".join(f"{ledger.back[-1]:.2f} s ({ledger.area})" for ledger in ledgers)
            )
        await asyncio.sleep(1.0)
        stop.set()
    for ledger in ledgers:
        await check(port, ledger)
    return show(ledgers)


def show(ledgers: list[Ledger]) -> bool:
    """The verdict."""
    table = Table(title="After all kills", title_justify="left")
    table.add_column("")
    for ledger in ledgers:
        table.add_column(ledger.area, justify="right")
    rows = [
        ("commands acknowledged", lambda x: f"{len(x.acknowledged):,}"),
        ("commands rejected", lambda x: f"{len(x.rejected):,}"),
        ("acknowledged and not in the state", lambda x: f"{x.missing}"),
        ("longest wait for an acknowledgement", lambda x: f"{1e3 * x.longest:.0f} ms"),
        ("ticks seen by the observer", lambda x: f"{x.ticks:,}"),
        ("of these not after the one before", lambda x: f"{x.went_back}"),
        ("digests compared at the same ticks", lambda x: f"{x.digests:,}"),
        ("of these unequal", lambda x: f"{x.unequal}"),
        ("redundant again after a kill, longest", lambda x: f"{max(x.back):.2f} s"),
    ]
    for name, value in rows:
        table.add_row(name, *map(value, ledgers))
    Console().print(table)
    if any(x.missing or x.went_back or x.unequal or x.rejected for x in ledgers):
        print("SOMETHING WAS LOST.", *{f"{x.area} {x.rejected[0]}" for x in ledgers if x.rejected})
        return False
    if not all(x.acknowledged and x.ticks and x.digests for x in ledgers):
        print("NOTHING WAS SHOWN: no command was acknowledged, no tick seen, or no digest compared.")
        return False
    print("Nothing was lost.")
    return True


@click.command()
@click.option("--port", default=8080, show_default=True)
@click.option("--kills", default=10, show_default=True)
@click.option("--rate", default=1000.0, show_default=True, help="Commands a second, over all areas.")
def main(port: int, kills: int, rate: float) -> None:
    """Kills the active of every area again and again while commands flow, and shows that nothing is lost.

    It needs a world, which `make up` starts; give its --port if that is another one.
    """
    try:
        sys.exit(0 if asyncio.run(run(port, kills, rate)) else 1)
    except urllib.error.URLError as error:
        raise click.ClickException(
            f"no world answers at port {port}: start one with `make up` ({error.reason})"
        ) from error


if __name__ == "__main__":
    main()
