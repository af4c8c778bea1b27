"""`WS /v1/watch`: the status, pushed. The controller lives on it, so a change is told at once.

What counts as a change is told by a key; ticks are not a change, they are refreshed every second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import msgspec
from aiohttp import web

from pairsim.model.status import ReplicaStatus, WitnessStatus
from pairsim.server.http.auth import has_token
from pairsim.server.http.notifications import Signal
from pairsim.server.http.websockets import Sockets, push, send

REFRESH_SECONDS = 1.0
MAX_WATCHERS = 64
_MAX_FRAME = 1024

S = TypeVar("S", bound=msgspec.Struct)


def replica_key(status: ReplicaStatus) -> Hashable:
    """What a watcher of a replica learns at once."""
    return (
        status.role,
        status.area,
        status.generation,
        status.term,
        status.epoch,
        status.leader,
        status.members,
        status.in_sync,
        status.peer_in_sync,
        status.leaving,
    )


def witness_key(status: WitnessStatus) -> Hashable:
    """What a watcher of a witness learns at once."""
    return status.leaving, *((g.area, g.generation, g.term, g.leader, g.members, g.votes) for g in status.areas)


class Watch(Generic[S]):
    """Serves watchers."""

    def __init__(
        self,
        status: Callable[[], S],
        key: Callable[[S], Hashable],
        changes: Signal,
        token: str,
        refresh: float = REFRESH_SECONDS,
    ) -> None:
        """Who has the token is never turned away: the controller must not be kept out by onlookers."""
        self.sockets = Sockets("watchers", MAX_WATCHERS)
        self._status, self._key, self._changes, self._refresh = status, key, changes, refresh
        self._token = token

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One watcher, until it goes."""
        return await self.sockets.serve(
            request,
            lambda socket: push(socket, self._push(socket)),
            max_frame=_MAX_FRAME,
            heartbeat=15.0,
            always=has_token(request, self._token),
        )

    async def _push(self, socket: web.WebSocketResponse) -> None:
        loop = asyncio.get_running_loop()
        told: Hashable = None
        due = loop.time()
        while not socket.closed:
            seen = self._changes.count
            status = self._status()
            key = self._key(status)
            if key != told or loop.time() >= due:
                await send(socket, msgspec.json.encode(status).decode())
                told, due = key, loop.time() + self._refresh
            await self._changes.after(seen, due - loop.time())
