"""Kills the active of every area ten times while commands flow, and checks that nothing is lost.

    make up                                     # in one terminal
    .venv/bin/python examples/ten_kills.py      # in another

A client spawns 500 entities per second in each area, through the replicas. Every acknowledged spawn must be in the
state afterwards, an observer must never see a tick go back, the digests of both replicas must agree at the same ticks,
and the pair must be redundant again after every kill. The script removes its entities at the end, also after Ctrl-C.
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

from pairsim import AreaClient, ClientError, Command, new_id

BATCH = 25
DEADLINE_SECONDS = 30.0
"""The time limit of a call, long enough for a takeover on a busy machine."""
CLEAN_UP_SECONDS = 60.0
RETRY_SECONDS = 0.05
FIRST_ENTITY = 2**52 + time.time_ns() // 1000
"""The first id of this run, above the ids that areas create and below 2**53; another run has other ids."""
MOST_ENTITIES = 10**9


@dataclass
class AreaRecord:
    """The commands that one area acknowledged, and the measurements of the run."""

    area: str
    urls: list[str]
    ids: range
    spawned: int = 0
    newest_tick: int = 0
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
    """Returns the status of the world, as `pairsim status --json` shows it."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/world", timeout=5) as answer:
        return json.load(answer)


async def area(port: int, name: str) -> dict:
    """Returns the status of one area."""
    return next(a for a in (await asyncio.to_thread(world, port))["areas"] if a["area"] == name)


def kill(port: int, name: str) -> None:
    """Kills the active of an area (kill -9)."""
    body = json.dumps({"area": name, "role": "active"}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/kill", body, {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=5).close()


async def spawn(record: AreaRecord, bounds: dict, rate: float, stop: asyncio.Event) -> None:
    """Sends spawns at a steady rate; the client sends a batch without an answer again, with the same ids."""
    begun = time.perf_counter()
    pending: set[asyncio.Task[None]] = set()
    async with AreaClient(record.urls, area=record.area, deadline=DEADLINE_SECONDS) as client:

        async def send(batch: list[Command]) -> None:
            began = time.perf_counter()
            for result in await client.send(batch):
                record.newest_tick = max(record.newest_tick, result.tick)
                if result.status == "applied":
                    record.acknowledged.add(int(result.id.partition("-")[2]))
                else:
                    record.rejected.append(f"{result.status}: {result.reason}")
            record.longest = max(record.longest, time.perf_counter() - began)

        try:
            while not stop.is_set():
                batch = []
                for _ in range(BATCH):
                    place = [random.uniform(low, high) for low, high in zip(bounds["min"], bounds["max"], strict=True)]
                    entity = record.ids[record.spawned]
                    batch.append(Command(f"{new_id()[:8]}-{entity}", "spawn", entity, {"position": place}))
                    record.spawned += 1
                pending.add(task := asyncio.create_task(send(batch)))
                task.add_done_callback(pending.discard)
                await asyncio.sleep(max(0.0, begun + record.spawned / rate - time.perf_counter()))
        finally:  # also after Ctrl-C: batches under way end, so that their entities are removed, too
            await asyncio.gather(*pending)


async def observe(record: AreaRecord, stop: asyncio.Event) -> None:
    """Observes a corner of the area at every tick, from any replica."""
    last = (0, 0)
    async with AreaClient(record.urls, area=record.area, deadline=DEADLINE_SECONDS) as client:
        async for frame in client.observe((0, 0, 0), (1, 1, 1)):
            record.ticks += 1
            record.went_back += frame.term < last[0] or frame.tick <= last[1]
            last = (frame.term, frame.tick)
            if stop.is_set():
                return


async def redundant(port: int, name: str, seconds: float = 60.0) -> None:
    """Waits until an area is redundant."""
    async with asyncio.timeout(seconds):
        while not (await area(port, name))["redundant"]:
            await asyncio.sleep(0.02)


async def present(client: AreaClient, record: AreaRecord) -> set[int]:
    """Returns the entities of this run that an area has after the newest answer, whichever replica is read."""
    found: set[int] = set()
    after: int | None = FIRST_ENTITY - 1
    async with asyncio.timeout(DEADLINE_SECONDS):
        while after is not None and after < record.ids.stop:
            page = await client.entities(limit=1000, after=after)
            if page.tick < record.newest_tick:  # a replica that is behind may lack what the other one acknowledged
                await asyncio.sleep(RETRY_SECONDS)
                continue
            found.update(entity.id for entity in page.entities if entity.id in record.ids)
            after = page.next
    return found


async def check(port: int, record: AreaRecord) -> None:
    """Compares the acknowledged spawns with the state, and the replicas with each other."""
    async with AreaClient(record.urls, area=record.area, deadline=DEADLINE_SECONDS) as client:
        found = await present(client, record)
    record.missing = len(record.acknowledged - found)
    digests = []
    for replica in (await area(port, record.area))["replicas"]:
        async with AreaClient([replica["url"]], area=record.area, deadline=DEADLINE_SECONDS) as client:
            newest = (await client.status()).tick
            digests.append(await client.digests(max(0, newest - 1000), newest))
    same = digests[0].keys() & digests[1].keys()
    record.digests = len(same)
    record.unequal = sum(digests[0][tick] != digests[1][tick] for tick in same)


async def clean_up(record: AreaRecord) -> None:
    """Removes the entities of this run from an area, also those whose spawn was not acknowledged."""
    stays, reason = f"up to {record.spawned}", "the area did not answer in time"
    try:
        async with (
            asyncio.timeout(CLEAN_UP_SECONDS),
            AreaClient(record.urls, area=record.area, deadline=DEADLINE_SECONDS) as client,
        ):
            while found := sorted(await present(client, record)):  # until a state after the despawns has none of them
                stays = str(len(found))
                for first in range(0, len(found), 1000):
                    despawns = [Command(new_id(), "despawn", entity) for entity in found[first : first + 1000]]
                    for result in await client.send(despawns):
                        record.newest_tick = max(record.newest_tick, result.tick)
                        reason = result.reason or reason
            return
    except ClientError as error:
        reason = str(error)
    except TimeoutError:
        pass
    print(f"{record.area}: {stays} entities of this run stay in the area, because {reason}")


async def run(port: int, kills: int, rate: float) -> bool:
    """Runs all kills and checks; returns whether nothing was lost."""
    seen = world(port)
    # Any process may have any area later: the client gets the URLs of all, and the name of the area that it wants.
    urls = [r["url"] for a in seen["areas"] for r in a["replicas"]] + [spare["url"] for spare in seen["spares"]]
    count = len(seen["areas"])  # an entity is in one area at a time, so the areas take turns with the ids
    ids = [range(FIRST_ENTITY + number, FIRST_ENTITY + MOST_ENTITIES, count) for number in range(count)]
    records = [AreaRecord(a["area"], urls, own) for a, own in zip(seen["areas"], ids, strict=True)]
    try:
        await attack(port, records, kills, rate)
        for record in records:
            await check(port, record)
    finally:
        for record in records:
            await clean_up(record)
    return show(records)


async def attack(port: int, records: list[AreaRecord], kills: int, rate: float) -> None:
    """Kills the active of every area, one after the other, while clients spawn and observe."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for record in records:
            bounds = (await area(port, record.area))["bounds"]
            group.create_task(spawn(record, bounds, rate / len(records), stop))
            group.create_task(observe(record, stop))
        for number in range(1, kills + 1):
            await asyncio.sleep(1.0)
            for record in records:
                await redundant(port, record.area)
                await asyncio.to_thread(kill, port, record.area)
                began = time.perf_counter()
                await asyncio.sleep(0.1)
                await redundant(port, record.area)
                record.back.append(time.perf_counter() - began)
            print(
                f"kill {number} of {kills}: redundant again after "
                + ", ".join(f"{record.back[-1]:.2f} s ({record.area})" for record in records)
            )
        await asyncio.sleep(1.0)
        stop.set()


def show(records: list[AreaRecord]) -> bool:
    """Prints the measurements and the verdict; returns whether nothing was lost."""
    table = Table(title="After all kills", title_justify="left")
    table.add_column("")
    for record in records:
        table.add_column(record.area, justify="right")
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
        table.add_row(name, *map(value, records))
    Console().print(table)
    if any(x.missing or x.went_back or x.unequal or x.rejected for x in records):
        print("SOMETHING WAS LOST.", *{f"{x.area} {x.rejected[0]}" for x in records if x.rejected})
        return False
    if not all(x.acknowledged and x.ticks and x.digests for x in records):
        print("NOTHING WAS SHOWN: no command was acknowledged, no tick was seen, or no digest was compared.")
        return False
    print("Nothing was lost.")
    return True


@click.command()
@click.option("--port", default=8080, show_default=True, help="The port of `pairsim up`.")
@click.option("--kills", default=10, show_default=True, help="Kills per area.")
@click.option("--rate", default=1000.0, show_default=True, help="Commands per second, over all areas.")
def main(port: int, kills: int, rate: float) -> None:
    """Kills the active of every area again and again while commands flow, and shows that nothing is lost.

    The script needs a running world: start one with `make up`, and give its --port if that is not 8080.
    """
    try:
        sys.exit(0 if asyncio.run(run(port, kills, rate)) else 1)
    except KeyboardInterrupt:
        sys.exit(130)
    except urllib.error.URLError as error:
        raise click.ClickException(
            f"no world answers at port {port}: start one with `make up` ({error.reason})"
        ) from error


if __name__ == "__main__":
    main()
