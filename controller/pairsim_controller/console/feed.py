"""`WS /v1/console`: the world as it changes, for pages that show it.

Of everything only the newest is kept for a viewer: one that reads slowly sees fewer pictures, and nothing piles up.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Protocol

import msgspec
from aiohttp import WSCloseCode, web

from pairsim.model.world_status import AreaStatusView, WorldStatus
from pairsim_controller.console.history import History
from pairsim_controller.console.sampling import Sample, Sampler

MAX_VIEWERS = 8
_LOOK = 0.1
_SHARE = 20.0
_HZ = 5.0
_SEND_SECONDS = 5.0
_MAX_INCOMING = 1024


class Shown(Protocol):
    """The world that is shown."""

    @property
    def can_kill(self) -> bool:
        """Whether its processes can be killed from here."""

    @property
    def note(self) -> str:
        """What has to be known of what is shown; empty if nothing."""

    def picture(self) -> WorldStatus:
        """As it is now."""


class _Viewer:
    """What one page has not been sent yet."""

    def __init__(self) -> None:
        self.news = asyncio.Event()
        self.world = b""
        self.samples: dict[str, bytes] = {}

    def next(self) -> bytes | None:
        if self.world:
            sent, self.world = self.world, b""
            return sent
        if self.samples:
            return self.samples.pop(next(iter(self.samples)))
        self.news.clear()
        return None


class Feed:
    """For all viewers of a world."""

    def __init__(self, shown: Shown, history: History) -> None:
        """Nobody looks yet; `running` has to be among the application's contexts.

        What is seen of the areas is added to the history.
        """
        self._shown, self._history = shown, history
        self._viewers: set[_Viewer] = set()
        self._sampling: asyncio.Task[None] | None = None
        self._last = b""

    async def running(self, _app: web.Application) -> AsyncIterator[None]:
        """Watches the world as long as the application runs, so that the timeline is there before anybody asks."""
        watching = asyncio.create_task(self._watch())
        yield
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching

    async def _watch(self) -> None:
        told = 0.0
        try:
            while True:
                now, began = time.time(), time.perf_counter()
                seen = self._shown.picture()
                self._history.see(seen.areas, now)
                if self._viewers and now - told >= 1 / _HZ:
                    told = now
                    self._tell(self._world(seen))
                # A world of a thousand areas is looked at less often: a look takes its time from the decisions.
                await asyncio.sleep(max(_LOOK, _SHARE * (time.perf_counter() - began)))
        finally:
            self._stop_sampling()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """The handler."""
        origin = request.headers.get("Origin")
        if origin is not None and origin.partition("://")[2] != request.host:
            return web.json_response({"error": "pages of other origins are not shown this world"}, status=403)
        if len(self._viewers) >= MAX_VIEWERS:
            sentence = f"{MAX_VIEWERS} consoles are open already: close one"
            return web.json_response({"error": sentence}, status=503, headers={"Retry-After": "5"})
        socket = web.WebSocketResponse(heartbeat=10.0, max_msg_size=_MAX_INCOMING)
        if not socket.can_prepare(request).ok:
            return web.json_response({"error": "this path is a WebSocket; the page is at /"}, status=426)
        viewer = _Viewer()
        self._viewers.add(viewer)
        try:
            await socket.prepare(request)
            viewer.world = self._world(self._shown.picture())
            viewer.news.set()
            self._start_sampling()
            reading = asyncio.create_task(_closed(socket))
            sending = asyncio.create_task(_send(socket, viewer))
            _, pending = await asyncio.wait((reading, sending), return_when=asyncio.FIRST_COMPLETED)
            for task in pending:
                task.cancel()
            await asyncio.gather(reading, sending, return_exceptions=True)
        finally:
            self._viewers.discard(viewer)
            if not self._viewers:
                self._stop_sampling()
            if socket.prepared:
                with contextlib.suppress(ConnectionError):
                    await socket.close(code=WSCloseCode.GOING_AWAY)
        return socket

    def _world(self, seen: WorldStatus) -> bytes:
        shown = self._shown
        body = {"kind": "world", "kill": shown.can_kill, "note": shown.note, "world": seen}
        return msgspec.json.encode({**body, "events": list(self._history.events)})

    def _tell(self, world: bytes) -> None:
        if world == self._last:
            return
        self._last = world
        for viewer in self._viewers:
            viewer.world = world
            viewer.news.set()

    def _sampled(self, sample: Sample) -> None:
        encoded = msgspec.json.encode({"kind": "sample", **msgspec.to_builtins(sample)})
        for viewer in self._viewers:
            viewer.samples[sample.area] = encoded
            viewer.news.set()

    def _areas(self) -> list[AreaStatusView]:
        return self._shown.picture().areas

    def _start_sampling(self) -> None:
        if self._sampling is None:
            self._sampling = asyncio.create_task(Sampler(self._areas, self._sampled).run())

    def _stop_sampling(self) -> None:
        if self._sampling is not None:
            self._sampling.cancel()
            self._sampling = None


async def _closed(socket: web.WebSocketResponse) -> None:
    async for _ in socket:
        """A page has nothing to say here; orders are requests of their own."""


async def _send(socket: web.WebSocketResponse, viewer: _Viewer) -> None:
    while True:
        await viewer.news.wait()
        while (message := viewer.next()) is not None:
            async with asyncio.timeout(_SEND_SECONDS):
                await socket.send_str(message.decode())
