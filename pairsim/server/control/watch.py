"""`WS /v1/watch`: the status of a process, pushed to the controller and other watchers.

A watcher gets the status when it connects, at once when something significant changes (`significant` of the status
says what that is), and otherwise once a second. Ticks are not significant: they come with the refresh of each second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import msgspec
from aiohttp import web

from pairsim.model.status import ReplicaStatus, WitnessStatus
from pairsim.server.http.auth import has_token
from pairsim.server.http.websockets import WebSockets, run_pusher, send
from pairsim.server.notifications import Signal

REFRESH_SECONDS = 1.0
MAX_WATCHERS = 64
_HEARTBEAT_SECONDS = 15.0
_MAX_FRAME = 1024

S = TypeVar("S", bound=ReplicaStatus | WitnessStatus)


class WatchHandler(Generic[S]):
    """The handler of `/v1/watch`.

    Attributes:
        sockets: The open WebSockets of all watchers.
    """

    def __init__(self, status: Callable[[], S], changes: Signal, token: str, refresh: float = REFRESH_SECONDS) -> None:
        """Creates the handler.

        Args:
            status: Returns the current status.
            changes: Is notified when the status may have changed.
            token: A watcher with this bearer token is always accepted: others must not keep the controller out.
            refresh: Seconds after which an unchanged status is sent again.
        """
        self.sockets = WebSockets("watchers", MAX_WATCHERS)
        self._status, self._changes, self._refresh = status, changes, refresh
        self._token = token

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serves one watcher until it disconnects."""
        return await self.sockets.serve(
            request,
            lambda socket: run_pusher(socket, self._push(socket)),
            max_frame=_MAX_FRAME,
            heartbeat=_HEARTBEAT_SECONDS,
            always=has_token(request, self._token),
        )

    async def _push(self, socket: web.WebSocketResponse) -> None:
        loop = asyncio.get_running_loop()
        sent: Hashable = None
        due = loop.time()
        while not socket.closed:
            seen = self._changes.count
            status = self._status()
            significant = status.significant()
            if significant != sent or loop.time() >= due:
                await send(socket, msgspec.json.encode(status).decode())
                sent, due = significant, loop.time() + self._refresh
            await self._changes.after(seen, due - loop.time())
