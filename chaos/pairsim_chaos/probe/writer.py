"""Sends numbered commands to an area at a steady rate, through a preferred replica first."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Sequence

from pairsim.client import AreaClient, ClientError, CommandsRefused, Overloaded, Unavailable, new_id
from pairsim.model.commands import Command, Value
from pairsim_chaos.probe.area_evidence import AreaEvidence
from pairsim_chaos.probe.ledger import WriteLedger

BATCH = 5
RATE = 100.0
"""Commands per second of one writer."""

_MAX_IN_FLIGHT = 64
_DEADLINE_SECONDS = 10.0
_READ_SECONDS = 60.0
_RETRY_SECONDS = 0.05
_PAGE_SIZE = 1000
_CLEANUP_BATCH = 500
_CLEANUP_SECONDS = 30.0


class Writer:
    """Sends commands to one area; two writers send them through both of its replicas.

    Attributes:
        failure: The first error of a delivery that was not expected; None without such an error.
    """

    def __init__(self, evidence: AreaEvidence, urls: Sequence[str], seed: int) -> None:
        """Creates a writer for the simulators at `urls`; the first one that has the area is preferred."""
        self._evidence = evidence
        self._route = _Route(urls, evidence.area)
        self._closing: set[asyncio.Task[None]] = set()
        self.failure: BaseException | None = None
        self._random = random.Random(seed)  # noqa: S311 - positions in a world need no secure randomness

    def update_urls(self, urls: Sequence[str]) -> None:
        """Continues with the current simulators; batches in flight finish on the old connections.

        A new order of the same simulators has no effect, because the client knows which of them answers.
        """
        if set(urls) == set(self._route.urls):
            return
        old, self._route = self._route, _Route(urls, self._evidence.area)
        task = asyncio.create_task(old.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def run(self) -> None:
        """Sends commands until cancelled; call `finish` afterwards to await the answers."""
        loop = asyncio.get_running_loop()
        positioned = await self._has_positions()
        due = loop.time()
        while not self._evidence.ledger.full:
            if len(self._route.batches) < _MAX_IN_FLIGHT:  # unanswered batches must not pile up
                self._send(self._evidence.ledger.next_batch(BATCH, self._random_components(positioned)))
            due = max(due + BATCH / RATE, loop.time() - 1.0)
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def finish(self) -> None:
        """Waits for the batches in flight, each of which has a deadline, and closes the connections."""
        await asyncio.gather(self._route.close(), *self._closing)

    def _send(self, commands: list[Command]) -> None:
        route = self._route
        task = asyncio.create_task(self._deliver(route.client, commands))
        route.batches.add(task)
        task.add_done_callback(route.batches.discard)
        task.add_done_callback(self._note_failure)

    def _note_failure(self, delivery: asyncio.Task[None]) -> None:
        if not delivery.cancelled() and self.failure is None:
            self.failure = delivery.exception()

    async def _deliver(self, client: AreaClient, commands: list[Command]) -> None:
        try:
            results = await client.send(commands)
        except CommandsRefused as error:
            self._evidence.ledger.refused.add(f"a batch was refused: {error}")
            self._evidence.ledger.on_not_applied(commands)
        except Overloaded:
            self._evidence.ledger.on_not_applied(commands)
        except ClientError:
            return  # the result is unknown, and the ledger already says so
        else:
            self._evidence.ledger.on_answered(commands, results)
            self._evidence.availability.on_acknowledged(asyncio.get_running_loop().time())

    async def _has_positions(self) -> bool:
        """Returns whether the area's entities have a position, so that spawns may choose one."""
        while True:
            try:
                async with AreaClient(self._route.urls, area=self._evidence.area, deadline=_DEADLINE_SECONDS) as client:
                    listed = await client.entities(limit=1)
            except ClientError:
                await asyncio.sleep(BATCH / RATE)
                continue
            return any("position" in entity.components for entity in listed.entities)

    def _random_components(self, positioned: bool) -> dict[str, Value]:
        if not positioned:
            return {}
        low, high = self._evidence.bounds.min, self._evidence.bounds.max
        return {"position": [self._random.uniform(a, b) for a, b in zip(low, high, strict=True)]}


class _Route:
    """A client of the simulators at one time, with the batches that are in flight through it."""

    def __init__(self, urls: Sequence[str], area: str) -> None:
        self.urls = tuple(urls)
        self.client = AreaClient(urls, area=area, deadline=_DEADLINE_SECONDS)
        self.batches: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        await asyncio.gather(*self.batches, return_exceptions=True)
        await self.client.close()


async def list_entities(urls: Sequence[str], evidence: AreaEvidence, area: str = "") -> list[int]:
    """Returns the ids of the probe's entities, from a state of the area that includes the last acknowledgement.

    Args:
        urls: The simulators of the world.
        evidence: The evidence about the area in which the entities were spawned.
        area: Another area, to which some of them may have gone; its newest state is read.

    Raises:
        ClientError: The state cannot be read.
        TimeoutError: No replica reached the tick of the last acknowledgement in time.
    """
    if not urls:
        raise Unavailable("no simulator can be reached")
    async with (
        asyncio.timeout(_READ_SECONDS),
        AreaClient(urls, area=area or evidence.area, deadline=_DEADLINE_SECONDS) as client,
    ):
        return await _list(client, evidence.ledger, 0 if area else evidence.ledger.tick)


async def remove_entities(urls: Sequence[str], evidence: AreaEvidence) -> str:
    """Despawns the probe's entities in any state of the world, until a newer state has none of them.

    Returns:
        Why entities may remain after the deadline, as a clause; empty if none remain.
    """
    if not urls:
        return "no simulator can be reached"
    reason = "the area does not answer"
    commands = evidence.ledger.cleanup_commands()
    with contextlib.suppress(TimeoutError):
        async with (
            asyncio.timeout(_CLEANUP_SECONDS),
            AreaClient(urls, area=evidence.area, deadline=_DEADLINE_SECONDS) as client,
        ):
            while True:
                try:
                    while commands:
                        evidence.ledger.on_cleaned_up(await client.send(commands[:_CLEANUP_BATCH]))
                        del commands[:_CLEANUP_BATCH]
                    remaining = await _list(client, evidence.ledger, evidence.ledger.tick)
                except CommandsRefused as error:
                    return str(error)
                except ClientError as error:
                    reason = str(error)
                    await asyncio.sleep(_RETRY_SECONDS)  # the retry has the same ids, so nothing is applied twice
                else:
                    if not remaining:
                        return ""
                    reason = f"the area still had {len(remaining)} of them after their despawn"
                    commands = [Command(new_id(), "despawn", entity) for entity in remaining]
    return reason


async def _list(client: AreaClient, ledger: WriteLedger, tick: int) -> list[int]:
    found: list[int] = []
    after = ledger.first - 1
    while True:
        page = await client.entities(limit=_PAGE_SIZE, after=after)
        if page.tick < tick:  # a replica that is behind
            await asyncio.sleep(_RETRY_SECONDS)
            continue
        found += [entity.id for entity in page.entities if entity.id <= ledger.last]
        if page.next is None or page.next > ledger.last:
            return found
        after = page.next
