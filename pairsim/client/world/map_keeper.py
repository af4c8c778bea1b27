"""Keeps a client's map of the world fresh.

Any process may be asked: `pairsim up` and the controller know the maps of all planes, and a replica what its area
knows. A map is only replaced by a newer one, so it does no harm to ask a replica that lags. The map is read again every
few seconds, and at once when an answer shows that it is old.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

import msgspec

from pairsim.client.errors import RequestRefused, Unavailable
from pairsim.client.http import HttpClient, ResponseLostError, StatusError, UnreachableError
from pairsim.client.world.atlas import Atlas
from pairsim.model.authority import Authority, WorldMap

_REFRESH_SECONDS = 5.0
_PAUSE_SECONDS = 0.1
"""Between two looks that are wanted at once."""

_ANSWER_SECONDS = 1.0
_MOST_ASKED = 4
"""Processes that are asked in one look, until one answers with a newer map."""


class MapKeeper:
    """Reads the map from the processes of a world. Event loop only."""

    def __init__(self, http: HttpClient, urls: Sequence[str], atlas: Atlas, on_change: Callable[[], None]) -> None:
        """Asks nobody yet.

        Args:
            http: Sends the requests; for any area.
            urls: Bases of the HTTP APIs of some processes of the world.
            atlas: Takes the maps.
            on_change: Called after each change of the map.
        """
        self._http, self._given, self._atlas, self._on_change = http, list(urls), atlas, on_change
        self._task: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()
        self._changed = asyncio.Event()
        self._next = 0
        self._closed = False
        self._reason = ""
        self._refused: RequestRefused | None = None

    async def ready(self, end: float) -> None:
        """Waits until there is a map.

        Raises:
            RequestRefused: The world has other planes than the one that is wanted.
            Unavailable: No process had a map before the deadline.
        """
        self._start()
        while not len(self._atlas):
            if self._refused is not None:
                raise self._refused
            self._wanted.set()
            await self.changed(end)
            if not len(self._atlas) and asyncio.get_running_loop().time() >= end:
                raise Unavailable(f"no process has a map of the world: {self._reason or 'none answered'}")

    async def changed(self, end: float) -> None:
        """Waits until the map has changed or was refused, or until the deadline."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(end):
                await self._changed.wait()

    def hurry(self) -> None:
        """Reads the map again soon: an answer did not fit the present one."""
        self._start()
        self._wanted.set()

    async def close(self) -> None:
        """Ends the reading for good."""
        self._closed = True
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _start(self) -> None:
        if not self._closed and (self._task is None or self._task.done()):
            self._task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        while True:
            self._wanted.clear()
            await self._look()
            await asyncio.sleep(_PAUSE_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_REFRESH_SECONDS):
                    await self._wanted.wait()

    async def _look(self) -> None:
        """Asks some processes for their maps, one after the other, until one has a newer one."""
        known = [replica.url.rstrip("/") for cell in self._atlas.cells for replica in cell.replicas]
        urls = list(dict.fromkeys([*self._given, *known]))
        for _ in range(min(_MOST_ASKED, len(urls))):
            url = urls[self._next % len(urls)]
            try:
                taken = self._atlas.take(await self._ask(url))
            except RequestRefused as error:
                self._refused = error
                self._tell()
                return
            except (UnreachableError, ResponseLostError, StatusError, msgspec.MsgspecError, ValueError) as error:
                self._reason = f"{url}: {error}"
                self._next += 1
                continue
            if not len(self._atlas):
                self._reason = f"{url} knows no area with a cell yet"
            if taken:
                self._on_change()
                self._tell()
                return
            self._next += 1

    async def _ask(self, url: str) -> WorldMap | Authority:
        body = await self._http.request("GET", f"{url}/v1/map", seconds=_ANSWER_SECONDS)
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        kind: type[WorldMap | Authority] = WorldMap if "planes" in fields else Authority
        return msgspec.json.decode(body, type=kind)

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
