"""Sends numbered commands to an area at a steady pace, through one replica first and then the others."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Sequence

from pairsim.client import AreaClient, ClientError, CommandsRefused, Overloaded, Unavailable
from pairsim.model.commands import Command, Value
from pairsim_chaos.probe.area import AreaNotes

BATCH = 5
RATE = 100.0
"""Commands a second and writer."""

_IN_FLIGHT = 64
_DEADLINE = 10.0
_READ_SECONDS = 60.0
_PAUSE = 0.05
_PAGE = 1000
_ENDS = 500
_CLEAR_SECONDS = 30.0


class Writer:
    """Two of them make an area's commands come in through both of its replicas."""

    def __init__(self, notes: AreaNotes, urls: Sequence[str], seed: int) -> None:
        """`urls` are of all simulators of the world; the first that has the area is asked first."""
        self._notes = notes
        self._way = _Way(urls, notes.area)
        self._left: set[asyncio.Task[None]] = set()
        self._random = random.Random(seed)  # noqa: S311 - places in a world

    def reach(self, urls: Sequence[str]) -> None:
        """Goes on with the simulators that there are now; what is under way ends where it was sent.

        Their order alone changes nothing: the client knows who answers.
        """
        if set(urls) == set(self._way.urls):
            return
        left, self._way = self._way, _Way(urls, self._notes.area)
        task = asyncio.create_task(left.end())
        self._left.add(task)
        task.add_done_callback(self._left.discard)

    async def run(self) -> None:
        """Until it is cancelled; then what was sent is waited for with `finish`."""
        loop = asyncio.get_running_loop()
        template = await self._template()
        due = loop.time()
        while not self._notes.ledger.full:
            if len(self._way.batches) < _IN_FLIGHT:  # whatever is not answered must not pile up
                self._send(self._notes.ledger.batch(BATCH, self._somewhere(template)))
            due = max(due + BATCH / RATE, loop.time() - 1.0)
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def finish(self) -> None:
        """Waits for the answers that are under way, each of which has a deadline, and closes the connections."""
        await asyncio.gather(self._way.end(), *self._left)

    def _send(self, commands: list[Command]) -> None:
        way = self._way
        task = asyncio.create_task(self._deliver(way.client, commands))
        way.batches.add(task)
        task.add_done_callback(way.batches.discard)

    async def _deliver(self, client: AreaClient, commands: list[Command]) -> None:
        try:
            results = await client.send(commands)
        except CommandsRefused as error:
            self._notes.ledger.refused.add(f"a batch was refused: {error}")
            self._notes.ledger.untouched(commands)
        except Overloaded:
            self._notes.ledger.untouched(commands)
        except ClientError:
            return  # their fate is not known, which is what the ledger says until there is an answer
        else:
            self._notes.ledger.answered(commands, results)
            self._notes.pauses.acknowledged(asyncio.get_running_loop().time())

    async def _template(self) -> bool:
        """Whether the area's entities have a position, so that it can be chosen."""
        while True:
            try:
                async with AreaClient(self._way.urls, area=self._notes.area, deadline=_DEADLINE) as client:
                    listed = await client.entities(limit=1)
            except ClientError:
                await asyncio.sleep(BATCH / RATE)
                continue
            return any("position" in entity.components for entity in listed.entities)

    def _somewhere(self, placed: bool) -> dict[str, Value]:
        if not placed:
            return {}
        low, high = self._notes.bounds.min, self._notes.bounds.max
        return {"position": [self._random.uniform(a, b) for a, b in zip(low, high, strict=True)]}


class _Way:
    """A client of the simulators that there are at one time, and the batches under way through it."""

    def __init__(self, urls: Sequence[str], area: str) -> None:
        self.urls = tuple(urls)
        self.client = AreaClient(urls, area=area, deadline=_DEADLINE)
        self.batches: set[asyncio.Task[None]] = set()

    async def end(self) -> None:
        await asyncio.gather(*self.batches, return_exceptions=True)
        await self.client.close()


async def listed(urls: Sequence[str], notes: AreaNotes) -> list[int]:
    """The ids of the probe's entities that the area holds, in a state no older than the last acknowledgement.

    Raises:
        ClientError: It cannot be read.
        TimeoutError: No replica got that far in time.
    """
    if not urls:
        raise Unavailable("no simulator can be reached")
    found: list[int] = []
    after = notes.ledger.first - 1
    async with asyncio.timeout(_READ_SECONDS), AreaClient(urls, area=notes.area, deadline=_DEADLINE) as client:
        while True:
            page = await client.entities(limit=_PAGE, after=after)
            if page.tick < notes.ledger.tick:
                await asyncio.sleep(_PAUSE)
                continue
            found += [entity.id for entity in page.entities]
            if page.next is None or page.next > notes.ledger.last:
                return found
            after = page.next


async def clear(urls: Sequence[str], notes: AreaNotes) -> None:
    """Takes the probe's entities away again, whatever becomes of the world; what cannot be in time is left."""
    if not urls:
        return
    commands = notes.ledger.leftovers()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_CLEAR_SECONDS), AreaClient(urls, area=notes.area, deadline=_DEADLINE) as client:
            while commands:
                try:
                    await client.send(commands[:_ENDS])
                except CommandsRefused:
                    return
                except ClientError:
                    await asyncio.sleep(_PAUSE)  # with the same ids: nothing is done twice
                else:
                    del commands[:_ENDS]
