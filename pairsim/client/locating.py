"""Finds the area of an entity: all areas are asked at once, each by one of its replicas.

An area that has the entity answers so; one that had it names the area that the entity went to. While an entity crosses,
a replica that lags may still have it, so of the areas that have it the one with the highest clock counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from pairsim.client.errors import RequestRefused, Unavailable
from pairsim.client.http import HttpClient
from pairsim.client.process_requests import read
from pairsim.model.authority import Cell
from pairsim.protocol.frames import LocateAnswer

_AT_ONCE = 32
_GRACE_SECONDS = 0.1
"""How long other areas may still answer when one has the entity."""

_MOST_NAMED = 5


async def locate(http: HttpClient, cells: Iterable[Cell], entity: int, seconds: float) -> LocateAnswer | None:
    """Returns where an entity is; None if no area has it.

    Args:
        http: Sends the requests; for any area.
        cells: The cells of the areas that are asked.
        entity: The id of the entity.
        seconds: How long it may take.

    Raises:
        RequestRefused: The id is not valid.
        Unavailable: No area that answered has the entity, and some areas did not answer, or none has a cell yet.
    """
    asked = tuple(cells)
    if not asked:
        raise Unavailable("no area of the world has a cell yet: try again")
    search = _Search(http, entity, seconds)
    tasks = {asyncio.ensure_future(search.ask(cell)): cell.area for cell in asked}
    try:
        waiting = set(tasks)
        end = asyncio.get_running_loop().time() + seconds
        while waiting and (left := end - asyncio.get_running_loop().time()) > 0:
            found = any(not answer.moved for answer in search.answers)
            done, waiting = await asyncio.wait(
                waiting,
                timeout=min(left, _GRACE_SECONDS) if found else left,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                task.result()
            if found and not done:
                break
        search.silent += [tasks[task] for task in waiting]
    finally:
        for task in tasks:
            task.cancel()
    return search.outcome()


class _Search:
    """The answers to one question."""

    def __init__(self, http: HttpClient, entity: int, seconds: float) -> None:
        self.answers: list[LocateAnswer] = []
        self.silent: list[str] = []
        self._http, self._entity, self._seconds = http, entity, seconds
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def ask(self, cell: Cell) -> None:
        """Asks the replicas of an area until one answers."""
        urls = [replica.url.rstrip("/") for replica in cell.replicas]
        path = f"/v1/locate/{self._entity}"
        async with self._room:
            try:
                self.answers.append(await read(self._http, urls, path, LocateAnswer, query=None, seconds=self._seconds))
            except RequestRefused as error:
                if error.status != 404:
                    raise
            except Unavailable:
                self.silent.append(cell.area)

    def outcome(self) -> LocateAnswer | None:
        """Returns the answer that counts."""
        newest = max(self.answers, key=lambda answer: (not answer.moved, answer.clock), default=None)
        if newest is None and self.silent:
            silent = sorted(self.silent)
            named = ", ".join(silent[:_MOST_NAMED]) + ", ..." * (len(silent) > _MOST_NAMED)
            raise Unavailable(
                f"no area that answered has entity {self._entity}, and these did not answer: {named}; try again"
            )
        return newest
