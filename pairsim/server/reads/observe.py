"""`WS /v1/observe`: the content of an area of interest, pushed as frames of committed ticks.

Observers of the same selection form a group, which takes at most one snapshot per tick, and only when one of its
observers is ready for it. Each observer's frame is the difference to what that observer was sent last. So a slow
observer gets fewer frames, loses nothing, and delays no other observer. An observer that does not read at all is
disconnected.
"""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING

import msgspec
from aiohttp import WSCloseCode, web

from pairsim.replication.service import NoStateError, Published, ReplicaService
from pairsim.server.errors import to_http_error
from pairsim.server.http.errors import HttpError, internal_error
from pairsim.server.http.requests import BoundedExecutor, parse_float, reject_unknown_query
from pairsim.server.http.websockets import WebSockets, close, run_pusher, send
from pairsim.server.notifications import NotificationHub
from pairsim.server.reads.selection import Selection, parse_selection
from pairsim.wording import duration

if TYPE_CHECKING:
    from pairsim.model.state.table import TableView
    from pairsim.protocol.interest import AreaSnapshot

MAX_OBSERVERS = 64
MAX_ENTITIES = 250_000
"""In one observer's box; it bounds a frame."""

MIN_HZ, MAX_HZ = 0.01, 60.0
TICK_SECONDS = 30.0
"""An observer's socket is closed when no tick was committed for that long."""

_READ_SECONDS = 2.0
_ANSWER_SECONDS = 1.0
"""How much longer a read may take than the replica waits for a readable state."""

_HEARTBEAT_SECONDS = 15.0
_MAX_INCOMING = 1024


class TooManyEntitiesError(Exception):
    """The box holds more entities than a frame may."""


class ObserverGroup:
    """The observers of one selection, and the newest snapshot that they share.

    Attributes:
        observers: How many there are.
    """

    def __init__(
        self, selection: Selection, service: ReplicaService, hub: NotificationHub, executor: BoundedExecutor
    ) -> None:
        self.observers = 0
        self._selection, self._service, self._hub, self._executor = selection, service, hub, executor
        self._snapshot: AreaSnapshot | None = None
        self._taking: asyncio.Task[AreaSnapshot | None] | None = None
        self._frames: dict[int, asyncio.Task[bytes]] = {}

    async def newer(self, than: AreaSnapshot | None) -> AreaSnapshot:
        """Returns a snapshot of a later tick, in no lower a term.

        Raises:
            TooManyEntitiesError: The box holds more entities than a frame may.
            TimeoutError: No later tick was committed in time.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + TICK_SECONDS
        with self._hub.awaiting_ticks():
            while loop.time() < end:
                seen = self._hub.ticks.count
                snapshot = await self._newest()
                if snapshot is not None and (
                    than is None or (snapshot.tick > than.tick and snapshot.term >= than.term)
                ):
                    return snapshot
                await self._hub.ticks.after(seen, end - loop.time())
        raise TimeoutError(f"no tick was committed for {duration(TICK_SECONDS)}: try again later")

    async def frame(self, base: AreaSnapshot | None, snapshot: AreaSnapshot) -> bytes:
        """Returns the encoded difference; computed once for all observers that were sent the same snapshot last."""
        if snapshot is not self._snapshot:
            return await self._encode(base, snapshot)
        key = base.tick if base is not None else -1
        task = self._frames.get(key)
        if task is None:
            task = self._frames[key] = asyncio.ensure_future(self._encode(base, snapshot))
        return await asyncio.shield(task)

    async def _newest(self) -> AreaSnapshot | None:
        if self._snapshot is not None and self._snapshot.tick >= self._hub.tick:
            return self._snapshot
        if self._taking is None:
            self._taking = asyncio.ensure_future(self._take_snapshot())
        return await asyncio.shield(self._taking)

    async def _take_snapshot(self) -> AreaSnapshot | None:
        """Reads the state and returns the newest snapshot; None while the state is not readable."""
        try:
            read = functools.partial(self._service.read, self._extract, _READ_SECONDS)
            snapshot = await self._executor.run(read, _READ_SECONDS + _ANSWER_SECONDS)
            if snapshot is None:
                raise TooManyEntitiesError(f"the box holds more than {MAX_ENTITIES:,} entities: choose a smaller one")
            if self._snapshot is None or snapshot.tick > self._snapshot.tick:
                self._snapshot, self._frames = snapshot, {}
        except (NoStateError, TimeoutError):
            return None
        finally:
            self._taking = None
        return self._snapshot

    def _extract(self, table: TableView, published: Published) -> AreaSnapshot | None:
        from pairsim.protocol.interest import extract  # noqa: PLC0415 - a spare must stay small

        return extract(
            table,
            tick=published.tick,
            term=published.term,
            box=self._selection.box,
            components=self._selection.components,
            limit=MAX_ENTITIES,
        )

    async def _encode(self, base: AreaSnapshot | None, snapshot: AreaSnapshot) -> bytes:
        return await self._executor.run(functools.partial(_encoded, base, snapshot), _READ_SECONDS)


class Observers:
    """The handler of `/v1/observe`.

    Attributes:
        sockets: The open WebSockets of all observers.
    """

    def __init__(
        self, service: ReplicaService, hub: NotificationHub, executor: BoundedExecutor, *, limit: int = MAX_OBSERVERS
    ) -> None:
        self.sockets = WebSockets("observers", limit)
        self._service, self._hub, self._executor = service, hub, executor
        self._groups: dict[Selection, ObserverGroup] = {}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serves one observer until it disconnects."""
        reject_unknown_query(request, "min", "max", "components", "hz")
        selection = parse_selection(request)
        rate = _parse_rate(request)
        selection.check(self._service)

        async def work(socket: web.WebSocketResponse) -> None:
            group = self._groups.get(selection)
            if group is None:
                group = ObserverGroup(selection, self._service, self._hub, self._executor)
                self._groups[selection] = group
            group.observers += 1
            try:
                await run_pusher(socket, _push(socket, group, rate))
            finally:
                group.observers -= 1
                if not group.observers:
                    del self._groups[selection]

        return await self.sockets.serve(request, work, max_frame=_MAX_INCOMING, heartbeat=_HEARTBEAT_SECONDS)


async def _push(socket: web.WebSocketResponse, group: ObserverGroup, rate: float) -> None:
    """Sends an observer at most `rate` frames per second."""
    loop = asyncio.get_running_loop()
    sent: AreaSnapshot | None = None
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
        await close(socket, WSCloseCode.MESSAGE_TOO_BIG, str(error))
    except (HttpError, TimeoutError, KeyError) as error:
        known = to_http_error(error) or internal_error(error, "an observer")
        await close(socket, WSCloseCode.TRY_AGAIN_LATER, known.sentence)


def _encoded(base: AreaSnapshot | None, snapshot: AreaSnapshot) -> bytes:
    from pairsim.protocol.interest import diff  # noqa: PLC0415 - a spare must stay small

    return msgspec.msgpack.encode(diff(base, snapshot))


def _parse_rate(request: web.Request) -> float:
    """Returns the query parameter `hz` in frames per second; the highest rate without it."""
    text = request.query.get("hz")
    if text is None:
        return MAX_HZ
    rate = parse_float(text, "hz")
    if not MIN_HZ <= rate <= MAX_HZ:
        raise HttpError(400, f"hz must be within {MIN_HZ:g} to {MAX_HZ:g}")
    return rate
