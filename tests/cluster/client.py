"""A client of one area that runs in a pod: it sends commands at a steady rate and observes, until a file stops it.

It is told by a file; then it compares what was acknowledged with what is there, the replicas' digests with each other,
and prints one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from pathlib import Path

from pairsim.client import AreaClient, Unavailable, new_id
from pairsim.model.commands import Command

STOP = Path("/tmp/stop")  # noqa: S108 - in a pod of its own
BEGUN = Path("/tmp/acknowledged")  # noqa: S108
BATCH = 10
FIRST_ENTITY = 1_000_000_000
_LONG = 0.25


class Ledger:
    """The commands that were sent, and their answers."""

    def __init__(self) -> None:
        self.sent = self.ticks = self.went_back = self.refused = self.unknown = 0
        self.acknowledged: set[int] = set()
        self.waits: list[float] = []
        self.longest = 0.0
        self.gaps: list[tuple[float, float]] = []
        self._last = 0.0

    def answered(self, began: float) -> None:
        """Counts an acknowledged batch."""
        now = time.time()
        self._last = self._last or now  # before its first answer a client waits for the cluster's DNS and Services
        self.waits.append(now - began)
        if now - self._last > _LONG:
            self.gaps.append((self._last, now - self._last))
        self.longest, self._last = max(self.longest, now - self._last), now


async def spawn(client: AreaClient, ledger: Ledger, bounds: tuple[list[float], list[float]], rate: float) -> None:
    """Sends until the stop file exists."""
    number, began = 0, time.monotonic()
    pending: set[asyncio.Task[None]] = set()

    async def one(batch: list[Command]) -> None:
        at = time.time()
        try:
            results = await client.send(batch)
        except Unavailable as error:
            ledger.unknown += len(error.unknown)
            return
        ledger.answered(at)
        for result in results:
            if result.status == "applied":
                ledger.acknowledged.add(int(result.id.partition("-")[2]))
            else:
                ledger.refused += 1
        BEGUN.write_text(str(len(ledger.acknowledged)))

    while not STOP.exists():
        batch = []
        for _ in range(BATCH):
            entity = FIRST_ENTITY + number
            place = [random.uniform(low, high) for low, high in zip(*bounds, strict=True)]
            batch.append(Command(f"{new_id()[:8]}-{entity}", "spawn", entity, {"position": place}))
            number += 1
        ledger.sent += len(batch)
        pending.add(task := asyncio.create_task(one(batch)))
        task.add_done_callback(pending.discard)
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
    await asyncio.gather(*pending)


async def observe(client: AreaClient, ledger: Ledger) -> None:
    """Counts ticks, and ticks that went back."""
    last = (0, 0)
    async for frame in client.observe((0, 0, 0), (1, 1, 1)):
        ledger.ticks += 1
        ledger.went_back += frame.term < last[0] or frame.tick <= last[1]
        last = (frame.term, frame.tick)


async def missing(client: AreaClient, ledger: Ledger) -> int:
    """Returns the number of acknowledged entities that are missing."""
    there: set[int] = set()
    after: int | None = FIRST_ENTITY - 1
    while after is not None:
        page = await client.entities(limit=1000, after=after)
        there.update(entity.id for entity in page.entities)
        after = page.next
    return len(ledger.acknowledged - there)


async def digests(area: str, urls: list[str]) -> tuple[int, int]:
    """Returns the ticks of which both replicas have a digest, and those ticks whose digests differ."""
    found = []
    for url in urls:
        async with AreaClient([url], area=area) as client:
            newest = (await client.status()).tick
            found.append(await client.digests(max(0, newest - 1000), newest))
    if len(found) != 2:
        return 0, 0
    same = found[0].keys() & found[1].keys()
    return len(same), sum(found[0][tick] != found[1][tick] for tick in same)


async def run(area: str, urls: list[str], bounds: tuple[list[float], list[float]], rate: float) -> None:
    """Runs the stream and returns its counts."""
    ledger = Ledger()
    async with AreaClient(urls, area=area, deadline=60.0) as client:
        watching = asyncio.create_task(observe(client, ledger))
        await spawn(client, ledger, bounds, rate)
        watching.cancel()
        lost = await missing(client, ledger)
    replicas = json.loads(STOP.read_text() or "[]")
    compared, unequal = await digests(area, replicas)
    waits = sorted(ledger.waits)
    said = {
        "sent": ledger.sent,
        "acknowledged": len(ledger.acknowledged),
        "refused": ledger.refused,
        "unknown": ledger.unknown,
        "lost": lost,
        "ticks": ledger.ticks,
        "went_back": ledger.went_back,
        "digests": compared,
        "unequal": unequal,
        "p50": waits[len(waits) // 2] if waits else 0.0,
        "longest": ledger.longest,
        "gaps": ledger.gaps,
    }
    print(json.dumps(said), flush=True)  # noqa: T201


def main() -> None:
    """Reads the options from the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("area")
    parser.add_argument("--url", action="append", required=True)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--bounds", type=json.loads, required=True)
    given = parser.parse_args()
    low, high = given.bounds["min"], given.bounds["max"]
    BEGUN.write_text("0")
    asyncio.run(run(given.area, given.url, (low, high), given.rate))


if __name__ == "__main__":
    main()
