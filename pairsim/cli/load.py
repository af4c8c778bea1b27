"""The load of `pairsim send --rate`: impulses at a steady rate, and the times until they were acknowledged."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter

import click

from pairsim.client import AreaClient, ClientError, Session, Unavailable, new_id
from pairsim.model.commands import Command, CommandError

_BATCH_COMMANDS = 100
_NAMES = ("sent", "acknowledged", "applied", "rejected", "duplicate", "refused", "lost")


class _LoadCounts:
    """The outcomes of the impulses so far."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.waits: list[float] = []
        self.reason = ""

    async def send(self, session: Session, batch: list[Command]) -> None:
        """Sends a batch and counts its outcomes."""
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

    def print_summary(self) -> None:
        """Prints the counts and the percentiles of the waits."""
        click.echo(", ".join(f"{self.counts[name]} {name}" for name in _NAMES))
        waits = sorted(self.waits)
        if waits:
            click.echo(
                f"acknowledged after {1e3 * waits[len(waits) // 2]:.1f} ms (median),"
                f" {1e3 * waits[int(len(waits) * 0.99)]:.1f} ms (p99), {1e3 * waits[-1]:.1f} ms (longest)"
            )


async def run_load(area: str, urls: list[str], rate: float, count: int) -> None:
    """Sends impulses to entities at random and prints their outcomes.

    Args:
        area: The name of the area.
        urls: The processes that may serve the area.
        rate: Impulses per second.
        count: The number of impulses.

    Raises:
        ClientError: No replica answers.
        click.ClickException: Some impulses were not acknowledged, the area has no entities, or its simulator has no
            operation `impulse`.
    """
    size = max(1, min(_BATCH_COMMANDS, int(rate / 20)))
    done = _LoadCounts()
    async with AreaClient(urls, area=area) as client:
        entities = [entity.id for entity in (await client.entities(limit=1_000)).entities]
        if not entities:
            raise click.ClickException("the area has no entities to send impulses to: spawn some")
        async with client.session() as session:
            pending: set[asyncio.Task[None]] = set()
            began, given = time.perf_counter(), 0
            try:
                while given < count:
                    await asyncio.sleep(max(0.0, began + given / rate - time.perf_counter()))
                    batch = [_impulse(random.choice(entities)) for _ in range(min(size, count - given))]  # noqa: S311 - a load
                    given += len(batch)
                    task = asyncio.create_task(done.send(session, batch))
                    pending.add(task)
                    task.add_done_callback(pending.discard)
                await asyncio.gather(*pending)
            finally:
                # Also when the user presses Ctrl-C.
                for task in pending:
                    task.cancel()
                await asyncio.gather(*pending, return_exceptions=True)
                done.print_summary()
    if done.counts["acknowledged"] != done.counts["sent"]:
        raise click.ClickException(f"some impulses were not acknowledged: {done.reason}")


def _impulse(entity: int) -> Command:
    return Command(new_id(), "impulse", entity, {"impulse": [0.01, 0.0, 0.0]})
