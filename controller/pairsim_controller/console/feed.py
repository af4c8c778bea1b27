"""`WS /v1/console`: the world and its changes, pushed to the pages that show it.

A viewer has only the newest message of each kind in its outbox, so a slow viewer sees fewer messages and memory is
bounded.
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
from pairsim.server.http.websockets import WebSockets, run_pusher, send
from pairsim_controller.console.sampling import Sample, Sampler
from pairsim_controller.story.history import History

MAX_VIEWERS = 8
_MIN_IDLE_SHARE = 20.0
"""The pause after a poll is at least this many times as long as the poll, so polls take at most 5 % of a core."""

_MAX_HZ = 5.0
_HEARTBEAT_SECONDS = 10.0
_RETRY_AFTER_SECONDS = 5
_MAX_INCOMING_BYTES = 1024


class WorldSource(Protocol):
    """The world that a console shows."""

    @property
    def can_kill(self) -> bool:
        """Whether the console offers to kill the world's processes."""

    @property
    def note(self) -> str:
        """A sentence that the page shows in place of the summary; empty for none."""

    def world_status(self) -> WorldStatus:
        """Returns the status of the world now."""


class ViewerOutbox:
    """The messages that wait for one viewer: the newest world, and the newest sample of each area."""

    def __init__(self) -> None:
        self.pending = asyncio.Event()
        self.world = b""
        self.samples: dict[str, bytes] = {}

    def next(self) -> bytes | None:
        """Removes and returns the next message; None if the outbox is empty."""
        if self.world:
            sent, self.world = self.world, b""
            return sent
        if self.samples:
            return self.samples.pop(next(iter(self.samples)))
        self.pending.clear()
        return None


class Feed:
    """The WebSocket endpoint for all viewers of a world."""

    def __init__(self, source: WorldSource, history: History) -> None:
        """Shows `source` and the entries of `history`, once `add_to` has added the endpoint to an application."""
        self._source, self._history = source, history
        self._viewers: set[ViewerOutbox] = set()
        # The world of a thousand areas is a large text, and a port may be forwarded to a far browser.
        self._sockets = WebSockets(
            "consoles",
            MAX_VIEWERS,
            retry_after=_RETRY_AFTER_SECONDS,
            compress=True,
            slow_code=WSCloseCode.GOING_AWAY,
        )
        self._sampling: asyncio.Task[None] | None = None
        self._last = b""

    def add_to(self, app: web.Application) -> None:
        """Adds the endpoint to an application, which polls the world while it runs."""
        app.router.add_get("/v1/console", self.serve)
        app.cleanup_ctx.append(self._running)
        app.on_shutdown.append(self._close_sockets)

    async def _close_sockets(self, _app: web.Application) -> None:
        await self._sockets.close()

    async def _running(self, _app: web.Application) -> AsyncIterator[None]:
        """Polls the world while the application runs."""
        polling = asyncio.create_task(self._poll())
        yield
        polling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await polling

    async def _poll(self) -> None:
        try:
            while True:
                began = time.perf_counter()
                if self._viewers:
                    self._publish(self._encode(self._source.world_status()))
                # A world of a thousand areas is polled less often: a poll takes its time from the reconciler.
                await asyncio.sleep(max(1 / _MAX_HZ, _MIN_IDLE_SHARE * (time.perf_counter() - began)))
        finally:
            self._stop_sampling()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Handles `WS /v1/console`.

        Raises:
            HttpError: 426 for a plain request, 503 when too many consoles are open.
        """
        return await self._sockets.serve(
            request, self._show, max_frame=_MAX_INCOMING_BYTES, heartbeat=_HEARTBEAT_SECONDS
        )

    async def _show(self, socket: web.WebSocketResponse) -> None:
        """Pushes the world to a viewer until the viewer disconnects."""
        viewer = ViewerOutbox()
        self._viewers.add(viewer)
        try:
            viewer.world = self._encode(self._source.world_status())
            viewer.pending.set()
            self._start_sampling()
            await run_pusher(socket, _push(socket, viewer))
        finally:
            self._viewers.discard(viewer)
            if not self._viewers:
                self._stop_sampling()

    def _encode(self, world: WorldStatus) -> bytes:
        source = self._source
        body = {"kind": "world", "kill": source.can_kill, "note": source.note, "world": world}
        return msgspec.json.encode({**body, "events": list(self._history.entries)})

    def _publish(self, world: bytes) -> None:
        if world == self._last:
            return
        self._last = world
        for viewer in self._viewers:
            viewer.world = world
            viewer.pending.set()

    def _publish_sample(self, sample: Sample) -> None:
        encoded = msgspec.json.encode({"kind": "sample", **msgspec.to_builtins(sample)})
        for viewer in self._viewers:
            viewer.samples[sample.area] = encoded
            viewer.pending.set()

    def _areas(self) -> list[AreaStatusView]:
        return self._source.world_status().areas

    def _start_sampling(self) -> None:
        if self._sampling is None:
            self._sampling = asyncio.create_task(Sampler(self._areas, self._publish_sample).run())

    def _stop_sampling(self) -> None:
        if self._sampling is not None:
            self._sampling.cancel()
            self._sampling = None


async def _push(socket: web.WebSocketResponse, viewer: ViewerOutbox) -> None:
    while True:
        await viewer.pending.wait()
        while (message := viewer.next()) is not None:
            await send(socket, message.decode())
