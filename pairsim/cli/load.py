"""A load for an area: impulses at a steady rate, and how long their acknowledgements took."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter

import click

from pairsim.client import AreaClient, ClientError, Session, Unavailable, new_id
from pairsim.model.commands import Command, CommandError

_BATCH = 100
_NAMES = ("sent", "acknowledged", "applied", "rejected", "duplicate", "refused", "lost")


class _Load:
    """What became of the impulses so far."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.waits: list[float] = []
        self.reason = ""

    async def send(self, session: Session, batch: list[Command]) -> None:
        """Sends a batch and counts what became of it."""
        self.counts["sent"] += len(batch)
        began = time.perf_counter()
        try:
            results = await session.send(batch)
        except Unavailable as error:
            self.counts["lost"] += len(batch)
            self.reason = str(error)
        except (ClientError, CommandError, OSError) as error:
            self.counts["refused"] += len(batch)
            self.reason = str(error)
        else:
            self.counts.update(result.status.value for result in results)
            self.counts["acknowledged"] += len(results)
            self.waits.append(time.perf_counter() - began)

    def tell(self) -> None:
        """The sums."""
        click.echo(", ".join(f"{self.counts[name]} {name}" for name in _NAMES))
        waits = sorted(self.waits)
        if waits:
            click.echo(
                f"acknowledged after {1e3 * waits[len(waits) // 2]:.1f} ms (median),"
                f" {1e3 * waits[int(len(waits) * 0.99)]:.1f} ms (p99), {1e3 * waits[-1]:.1f} ms (longest)"
            )


async def load(area: str, urls: list[str], rate: float, count: int) -> None:
    """Sends `count` impulses, `rate` a second, to entities at random. What is not acknowledged is said.

    Raises:
        ClientError: No replica answers.
        click.ClickException: Not all were acknowledged; or there is no entity, or its simulator has no impulses.
    """
    size = max(1, min(_BATCH, int(rate / 20)))
    done = _Load()
    async with AreaClient(urls, area=area) as client:
        entities = [entity.id for entity in (await client.entities(limit=1_000)).entities]
        if not entities:
            raise click.ClickException("the area has no entities to send impulses to")
        async with client.session() as session:
            under_way: set[asyncio.Task[None]] = set()
            began, given = time.perf_counter(), 0
            try:
                while given < count:
                    await asyncio.sleep(max(0.0, began + given / rate - time.perf_counter()))
                    batch = [_nudge(random.choice(entities)) for _ in range(min(size, count - given))]  # noqa: S311 - a load
                    given += len(batch)
                    task = asyncio.create_task(done.send(session, batch))
                    under_way.add(task)
                    task.add_done_callback(under_way.discard)
                await asyncio.gather(*under_way)
            finally:
                # Also when the user has enough of it.
                for task in under_way:
                    task.cancel()
                await asyncio.gather(*under_way, return_exceptions=True)
                done.tell()
    if done.counts["acknowledged"] != done.counts["sent"]:
        raise click.ClickException(f"not everything was acknowledged: {done.reason}")


def _nudge(entity: int) -> Command:
    return Command(new_id(), "impulse", entity, {"impulse": [0.01, 0.0, 0.0]})
