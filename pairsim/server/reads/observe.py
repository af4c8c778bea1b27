"""`WS /v1/observe`: an area of interest, pushed as frames of committed ticks.

Observers of the same selection form a group, which takes one snapshot a tick at most, and only when one of them is
ready for it. Each observer's frame is the difference to what it was last sent: a slow one gets fewer frames, loses
nothing, and holds nobody up; one that does not read at all is dropped.
"""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING

import msgspec
from aiohttp import WSCloseCode, web

from pairsim.replication.service import NoStateError, Published, ReplicaPort
from pairsim.server.http.errors import HttpError, explain, unexpected
from pairsim.server.http.notifications import Hub
from pairsim.server.http.requests import Blocking, number, takes
from pairsim.server.http.websockets import Sockets, finish, push, send
from pairsim.server.reads.selection import Selection, parse_selection

if TYPE_CHECKING:
    from pairsim.model.state.table import Table
    from pairsim.protocol.interest import Snapshot

MAX_OBSERVERS = 64
MAX_ENTITIES = 250_000
"""In one observer's box; a frame is bounded by it."""

MAX_HZ = 60.0
TICK_SECONDS = 30.0
"""An observer is sent away when no tick was committed for that long."""

_READ_SECONDS = 2.0
_MAX_INCOMING = 1024


class TooManyEntitiesError(Exception):
    """The box holds more than a frame may."""


class _Group:
    """Observers of one selection."""

    def __init__(self, selection: Selection, port: ReplicaPort, hub: Hub, blocking: Blocking) -> None:
        self.observers = 0
        self._selection, self._port, self._hub, self._blocking = selection, port, hub, blocking
        self._snapshot: Snapshot | None = None
        self._taking: asyncio.Task[Snapshot | None] | None = None
        self._frames: dict[int, asyncio.Task[bytes]] = {}

    async def newer(self, than: Snapshot | None) -> Snapshot:
        """A snapshot of a later tick.

        Raises:
            TooManyEntitiesError: The box holds more than may be sent.
            TimeoutError: There is no later tick.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + TICK_SECONDS
        while loop.time() < end:
            seen = self._hub.ticks.count
            snapshot = await self._newest()
            if snapshot is not None and (than is None or (snapshot.tick > than.tick and snapshot.term >= than.term)):
                return snapshot
            await self._hub.ticks.after(seen, end - loop.time())
        raise TimeoutError(f"no tick was committed for {TICK_SECONDS:g} s: try again later")

    async def frame(self, base: Snapshot | None, snapshot: Snapshot) -> bytes:
        """The encoded difference; computed once for all observers that were sent the same last."""
        if snapshot is not self._snapshot:
            return await self._encode(base, snapshot)
        key = base.tick if base is not None else -1
        task = self._frames.get(key)
        if task is None:
            task = self._frames[key] = asyncio.ensure_future(self._encode(base, snapshot))
        return await asyncio.shield(task)

    async def _newest(self) -> Snapshot | None:
        if self._snapshot is not None and self._snapshot.tick >= self._hub.tick:
            return self._snapshot
        if self._taking is None:
            self._taking = asyncio.ensure_future(self._take())
        return await asyncio.shield(self._taking)

    async def _take(self) -> Snapshot | None:
        """None while there is no state to read."""
        try:
            read = functools.partial(self._port.read, self._query, _READ_SECONDS)
            snapshot = await self._blocking.run(read, _READ_SECONDS + 1.0)
            if snapshot is None:
                raise TooManyEntitiesError(f"the box holds more than {MAX_ENTITIES:,} entities: choose a smaller one")
            if self._snapshot is None or snapshot.tick > self._snapshot.tick:
                self._snapshot, self._frames = snapshot, {}
        except (NoStateError, TimeoutError):
            return None
        finally:
            self._taking = None
        return self._snapshot

    def _query(self, table: Table, published: Published) -> Snapshot | None:
        from pairsim.protocol.interest import extract  # noqa: PLC0415 - a spare must stay small

        return extract(
            table,
            tick=published.tick,
            term=published.term,
            box=self._selection.box,
            components=self._selection.components,
            limit=MAX_ENTITIES,
        )

    async def _encode(self, base: Snapshot | None, snapshot: Snapshot) -> bytes:
        return await self._blocking.run(functools.partial(_encoded, base, snapshot), _READ_SECONDS)


class Observers:
    """Serves observers."""

    def __init__(self, port: ReplicaPort, hub: Hub, blocking: Blocking, *, limit: int = MAX_OBSERVERS) -> None:
        self.sockets = Sockets("observers", limit)
        self._port, self._hub, self._blocking = port, hub, blocking
        self._groups: dict[Selection, _Group] = {}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One observer, until it goes."""
        takes(request, "min", "max", "components", "hz")
        selection = parse_selection(request)
        rate = _rate(request)
        selection.check(self._port.command_schema())

        async def work(socket: web.WebSocketResponse) -> None:
            group = self._groups.get(selection)
            if group is None:
                group = self._groups[selection] = _Group(selection, self._port, self._hub, self._blocking)
            group.observers += 1
            try:
                await push(socket, _observe(socket, group, rate))
            finally:
                group.observers -= 1
                if not group.observers:
                    del self._groups[selection]

        return await self.sockets.serve(request, work, max_frame=_MAX_INCOMING, heartbeat=15.0)


async def _observe(socket: web.WebSocketResponse, group: _Group, rate: float) -> None:
    loop = asyncio.get_running_loop()
    sent: Snapshot | None = None
    due = loop.time()
    try:
        while not socket.closed:
            snapshot = await group.newer(sent)
            await send(socket, await group.frame(sent, snapshot))
            sent = snapshot
            # By schedule, so that jitter of a tick does not cost the next one; but never in a burst.
            due = max(due + 1.0 / rate, loop.time() - 1.0 / rate)
            await asyncio.sleep(max(due - loop.time(), 0.0))
    except TooManyEntitiesError as error:
        await finish(socket, WSCloseCode.MESSAGE_TOO_BIG, str(error))
    except (HttpError, TimeoutError, KeyError) as error:
        known = explain(error) or unexpected(error, "an observer")
        await finish(socket, WSCloseCode.TRY_AGAIN_LATER, known.sentence)


def _encoded(base: Snapshot | None, snapshot: Snapshot) -> bytes:
    from pairsim.protocol.interest import diff  # noqa: PLC0415 - a spare must stay small

    return msgspec.msgpack.encode(diff(base, snapshot))


def _rate(request: web.Request) -> float:
    text = request.query.get("hz")
    if text is None:
        return MAX_HZ  # as fast as it ticks
    rate = number(text, "hz")
    if not 0.01 <= rate <= MAX_HZ:
        raise HttpError(400, f"hz is within 0.01 to {MAX_HZ:g}")
    return rate
