"""Kills processes of a world twenty times while entities stream across its borders, and checks that nothing is lost.

    make up                                      # in one terminal
    .venv/bin/python examples/twenty_kills.py    # in another

A client of the world spawns 200 entities a second, pushes them about and despawns some of them, in whichever area they
are. Actives, passives and witnesses of all areas are killed in turn (kill -9). An observer follows the whole world and
must not miss one of the entities, nor see one twice. Afterwards every acknowledged command must have been applied once,
every entity must be in one area, and the digests of both replicas of each area must agree. The script removes its
entities at the end, also after Ctrl-C.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from pairsim import AreaClient, ClientError, Command, WorldClient, new_id

BATCH = 20
DEADLINE_SECONDS = 30.0
"""The time limit of a call, long enough for a takeover on a busy machine."""
SETTLE_SECONDS = 60.0
PAGE = 1_000
SPEED = 10.0
LOOKS = 10
HZ = 10.0
"""Frames a second and area that the observer wants."""
FIRST_ENTITY = 2**52 + time.time_ns() // 1000
"""The first id of this run, above the ids that areas create and below 2**53; another run has other ids."""
ROLES = ("active", "passive", "witness")


@dataclass
class Record:
    """What the run did, and what it saw."""

    areas: list[str]
    spawned: int = 0
    acknowledged: int = 0
    not_applied: list[str] = field(default_factory=list)
    present: set[int] = field(default_factory=set)
    despawned: set[int] = field(default_factory=set)
    longest_wait: float = 0.0
    killed: Counter[str] = field(default_factory=Counter)
    back: list[float] = field(default_factory=list)
    crossings: int = 0
    seconds: float = 0.0
    frames: int = 0
    seen_twice: int = 0
    unseen: dict[int, float] = field(default_factory=dict)
    longest_gap: float = 0.0
    missing: int = 0
    doubled: int = 0
    back_from_the_dead: int = 0
    digests: int = 0
    unequal: int = 0


def world(port: int) -> dict:
    """Returns the status of the world, as `pairsim status --json` shows it."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/world", timeout=5) as answer:
        return json.load(answer)


def kill(port: int, area: str, role: str) -> None:
    """Kills a process of an area (kill -9)."""
    body = json.dumps({"area": area, "role": role}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/kill", body, {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=5).close()


async def redundant(port: int) -> None:
    """Waits until all areas are redundant."""
    async with asyncio.timeout(SETTLE_SECONDS):
        while not all(area["redundant"] for area in (await asyncio.to_thread(world, port))["areas"]):
            await asyncio.sleep(0.02)


# --- commands


async def send(client: WorldClient, record: Record, batch: list[Command]) -> None:
    """Sends commands and notes what became of them."""
    began = time.perf_counter()
    for command, result in zip(batch, await client.send(batch), strict=True):
        if result.status != "applied":
            record.not_applied.append(f"{command.op} of {command.entity}: {result.status} {result.reason}")
            continue
        record.acknowledged += 1
        if command.op == "spawn":
            record.present.add(command.entity)
        elif command.op == "despawn":
            record.despawned.add(command.entity)
    record.longest_wait = max(record.longest_wait, time.perf_counter() - began)


def next_batch(record: Record, bounds: dict, ids: Iterable[int]) -> list[Command]:
    """Returns spawns all over the world, pushes of entities that are there, and despawns of others.

    No entity is pushed and despawned: commands of different batches come in any order.
    """
    batch = []
    for entity in itertools.islice(ids, BATCH):
        place = [random.uniform(low, high) for low, high in zip(bounds["min"], bounds["max"], strict=True)]
        velocity = [random.choice((-1, 1)) * SPEED, 0.0, 0.0]
        batch.append(Command(new_id(), "spawn", entity, {"position": place, "velocity": velocity}))
    known = random.sample(sorted(record.present), min(BATCH // 2, len(record.present)))
    pushed, old = [e for e in known if e % 2], [e for e in known if not e % 2]
    record.present.difference_update(old)  # they are despawned once
    batch += [Command(new_id(), "impulse", entity, {"impulse": [0.0, 1.0, 0.0]}) for entity in pushed]
    return batch + [Command(new_id(), "despawn", entity) for entity in old]


async def drive(client: WorldClient, record: Record, bounds: dict, rate: float, stop: asyncio.Event) -> None:
    """Sends commands at a steady rate; the client sends a batch without an answer again, with the same ids."""
    begun, ids = time.perf_counter(), itertools.count(FIRST_ENTITY)
    pending: set[asyncio.Task[None]] = set()
    try:
        while not stop.is_set():
            batch = next_batch(record, bounds, ids)
            record.spawned += BATCH
            pending.add(task := asyncio.create_task(send(client, record, batch)))
            task.add_done_callback(pending.discard)
            await asyncio.sleep(max(0.0, begun + record.spawned / rate - time.perf_counter()))
    finally:  # also after Ctrl-C: batches under way end, so that their entities are removed, too
        await asyncio.gather(*pending)


# --- observers


async def observe(client: WorldClient, record: Record, stop: asyncio.Event) -> None:
    """Follows the whole world. An entity that leaves and comes back was missed in between."""
    shown: set[int] = set()
    async with contextlib.aclosing(client.observe(components=["position"], hz=HZ)) as frames:
        async for frame in frames:
            now = time.perf_counter()
            record.frames += 1
            for entity in np.frombuffer(frame.enter.ids, "<i8").tolist():
                record.seen_twice += entity in shown
                gone = record.unseen.pop(entity, None)
                if gone is not None:
                    record.longest_gap = max(record.longest_gap, now - gone)
                shown.add(entity)
            for entity in np.frombuffer(frame.leave, "<i8").tolist():
                shown.discard(entity)
                record.unseen[entity] = now
            if stop.is_set():
                return


# --- the verdict


async def everywhere(urls: list[str], record: Record, tick: dict[str, int]) -> Counter[int]:
    """Returns how often each entity of this run is in an area."""
    found: Counter[int] = Counter()
    for area in record.areas:
        async with AreaClient(urls, area=area, deadline=DEADLINE_SECONDS) as client:
            after: int | None = FIRST_ENTITY - 1
            while after is not None:
                page = await client.entities(limit=PAGE, after=after)
                if page.tick < tick.get(area, 0):  # a replica that is behind the one that was read before
                    continue
                tick[area], after = page.tick, page.next
                found.update(entity.id for entity in page.entities)
    return found


async def check(port: int, client: WorldClient, urls: list[str], record: Record) -> None:
    """Compares the acknowledged commands with the state, and the replicas with each other.

    While one area is read after the other, entities cross, and then some are found twice or not at all. So all entities
    of the run are stopped first, though others hit them, and only what looks wrong at each of several looks is wrong.
    """
    expected = record.present - record.despawned
    still = [Command(new_id(), "set", entity, {"velocity": [0.0, 0.0, 0.0]}) for entity in sorted(expected)]
    for first in range(0, len(still), PAGE):
        await send(client, record, still[first : first + PAGE])
    tick: dict[str, int] = {}
    missing, doubled, back = set(expected), set(expected), set(record.despawned)
    for _look in range(LOOKS):
        found = await everywhere(urls, record, tick)
        missing -= found.keys()
        doubled &= {entity for entity, count in found.items() if count > 1}
        back &= found.keys()
        if not missing | doubled | back:
            break
        await asyncio.sleep(0.5)
    record.missing, record.doubled, record.back_from_the_dead = len(missing), len(doubled), len(back)
    for area in (await asyncio.to_thread(world, port))["areas"]:
        digests = []
        for replica in area["replicas"]:
            async with AreaClient([replica["url"]], area=area["area"], deadline=DEADLINE_SECONDS) as one:
                newest = (await one.status()).tick
                digests.append(await one.digests(max(0, newest - 1000), newest))
        same = digests[0].keys() & digests[1].keys()
        record.digests += len(same)
        record.unequal += sum(digests[0][at] != digests[1][at] for at in same)


async def clean_up(client: WorldClient, urls: list[str], record: Record) -> None:
    """Removes the entities of this run, also those whose spawn was not acknowledged."""
    tick: dict[str, int] = {}
    try:
        async with asyncio.timeout(SETTLE_SECONDS):
            while found := sorted(await everywhere(urls, record, tick)):
                for first in range(0, len(found), PAGE):
                    await client.send([Command(new_id(), "despawn", e) for e in found[first : first + PAGE]])
                await asyncio.sleep(1.0)  # until no replica shows them any more
    except (ClientError, TimeoutError) as error:
        print(f"entities of this run stay in the world: {error}")


async def attack(port: int, client: WorldClient, record: Record, kills: int, rate: float) -> None:
    """Kills one process after the other while commands flow and observers look."""
    stop = asyncio.Event()
    seen = await asyncio.to_thread(world, port)
    boxes = [area["bounds"] for area in seen["areas"]]
    bounds = {
        "min": [min(box["min"][axis] for box in boxes) for axis in range(3)],
        "max": [max(box["max"][axis] for box in boxes) for axis in range(3)],
    }
    sent, began = sent_so_far(seen), time.perf_counter()
    async with asyncio.TaskGroup() as group:
        group.create_task(drive(client, record, bounds, rate, stop))
        group.create_task(observe(client, record, stop))
        await asyncio.sleep(1.0)
        victims = itertools.cycle(itertools.product(ROLES, record.areas))
        for number, (role, area) in zip(range(1, kills + 1), victims, strict=False):
            await redundant(port)
            await asyncio.to_thread(kill, port, area, role)
            killed_at = time.perf_counter()
            record.killed[role] += 1
            await asyncio.sleep(0.3)
            await redundant(port)
            record.back.append(time.perf_counter() - killed_at)
            print(f"kill {number} of {kills}: the {role} of {area}; all redundant again after {record.back[-1]:.2f} s")
        await asyncio.sleep(1.0)
        stop.set()
    record.seconds = time.perf_counter() - began
    record.crossings = sent_so_far(await asyncio.to_thread(world, port)) - sent


def sent_so_far(seen: dict) -> int:
    """Returns how many entities have crossed a border since the world began."""
    return sum(area["borders"]["sent"] for area in seen["areas"] if area.get("borders"))


async def run(port: int, kills: int, rate: float) -> bool:
    """Runs all kills and checks; returns whether nothing was lost."""
    seen = await asyncio.to_thread(world, port)
    # Any process may have any area later: the clients get the URLs of all.
    urls = [r["url"] for a in seen["areas"] for r in a["replicas"]] + [spare["url"] for spare in seen["spares"]]
    record = Record([area["area"] for area in seen["areas"]])
    async with WorldClient([f"http://127.0.0.1:{port}"], deadline=DEADLINE_SECONDS) as client:
        try:
            await attack(port, client, record, kills, rate)
            await check(port, client, urls, record)
        finally:
            await clean_up(client, urls, record)
    return show(record)


def show(record: Record) -> bool:
    """Prints the measurements and the verdict; returns whether nothing was lost."""
    table = Table(title="After all kills", title_justify="left", show_header=False)
    killed = ", ".join(f"{count} of {role}s" for role, count in record.killed.items()).replace("witnesss", "witnesses")
    rows = [
        ("processes killed", killed),
        ("all areas redundant again, longest", f"{max(record.back, default=0.0):.2f} s"),
        ("entities that crossed a border", f"{record.crossings:,}"),
        ("of these in a second", f"{record.crossings / max(record.seconds, 1e-9):,.0f}"),
        ("commands acknowledged", f"{record.acknowledged:,}"),
        ("of these not applied once", f"{len(record.not_applied)}"),
        ("longest wait for an acknowledgement", f"{1e3 * record.longest_wait:.0f} ms"),
        ("entities that are missing", f"{record.missing}"),
        ("entities that are there twice", f"{record.doubled}"),
        ("despawned entities that are still there", f"{record.back_from_the_dead}"),
        ("frames of the whole world seen by the observer", f"{record.frames:,}"),
        ("entities that it saw twice", f"{record.seen_twice}"),
        ("longest time that it missed an entity", f"{1e3 * record.longest_gap:.0f} ms"),
        ("digests compared at the same ticks", f"{record.digests:,}"),
        ("of these unequal", f"{record.unequal}"),
    ]
    for row in rows:
        table.add_row(*row)
    Console().print(table)
    wrong = (record.missing, record.doubled, record.back_from_the_dead, record.seen_twice, record.unequal)
    if any(wrong) or record.not_applied:
        print("SOMETHING WAS LOST.", *record.not_applied[:3])
        return False
    if not (record.acknowledged and record.frames and record.digests and record.crossings):
        print("NOTHING WAS SHOWN: no command was acknowledged, no frame was seen, or no entity crossed a border.")
        return False
    print("Nothing was lost.")
    return True


@click.command()
@click.option("--port", default=8080, show_default=True, help="The port of `pairsim up`.")
@click.option("--kills", default=20, show_default=True, help="How many processes are killed.")
@click.option("--rate", default=200.0, show_default=True, help="Spawns per second, over the whole world.")
def main(port: int, kills: int, rate: float) -> None:
    """Kills processes of a world while entities cross its borders, and shows that nothing is lost.

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
