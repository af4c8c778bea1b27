"""`WS /v1/observe`: the content of an area of interest, pushed as frames of committed ticks.

Observers of the same selection form a group, which takes at most one snapshot per tick, and only when one of its
observers is ready for it. Each observer's frame is the difference to what that observer was sent last. So a slow
observer gets fewer frames, loses nothing, and delays no other observer. An observer that does not read at all is
disconnected.

A frame says of entities that left the area of interest whether they moved to another area or were removed. The area
remembers its departures by clocks, so a snapshot knows those after the oldest frame that an observer was sent last. An
observer that comes back after a gap brings the clock of its last frame, and its keyframe names the departures since.
"""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING

import msgspec
from aiohttp import WSCloseCode, web

from pairsim.replication.service import CommittedArea, NoStateError, ReplicaService
from pairsim.server.errors import to_http_error
from pairsim.server.http.errors import HttpError, internal_error
from pairsim.server.http.requests import BoundedExecutor, parse_float, query_int, reject_unknown_query
from pairsim.server.http.websockets import WebSockets, close, run_pusher, send
from pairsim.server.notifications import NotificationHub
from pairsim.server.reads.selection import Selection, parse_selection
from pairsim.wording import duration

if TYPE_CHECKING:
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
        self._clocks: dict[object, int] = {}

    def note(self, observer: object, clock: int) -> None:
        """Notes the clock of the last frame of an observer, who has to learn of the departures since."""
        self._clocks[observer] = clock

    def forget(self, observer: object) -> None:
        """Forgets an observer that has ended."""
        self._clocks.pop(observer, None)

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

    async def frame(self, base: AreaSnapshot | None, snapshot: AreaSnapshot, *, after_gap: bool = False) -> bytes:
        """Returns the encoded difference; computed once for all observers that were sent the same snapshot last."""
        if snapshot is not self._snapshot or after_gap:
            return await self._encode(base, snapshot, after_gap=after_gap)
        key = base.tick if base is not None else -1
        task = self._frames.get(key)
        if task is None:
            task = self._frames[key] = asyncio.ensure_future(self._encode(base, snapshot))
        return await asyncio.shield(task)

    async def _newest(self) -> AreaSnapshot | None:
        since = self._oldest_clock()
        if self._snapshot is not None and self._snapshot.tick >= self._hub.tick and self._snapshot.since <= since:
            return self._snapshot
        while True:
            if self._taking is None:
                self._taking = asyncio.ensure_future(self._take_snapshot(since))
            snapshot = await asyncio.shield(self._taking)
            if snapshot is None or snapshot.since <= since:  # another observer may have begun the look that has ended
                return snapshot

    def _oldest_clock(self) -> int:
        """Returns the clock after which an observer may lack departures."""
        newest = self._snapshot.clock if self._snapshot is not None else 0
        return min((newest, *self._clocks.values()))

    async def _take_snapshot(self, since: int) -> AreaSnapshot | None:
        """Reads the state and returns the newest snapshot; None while the state is not readable."""
        try:
            query = functools.partial(self._extract, since)
            read = functools.partial(self._service.read_area, query, _READ_SECONDS)
            snapshot = await self._executor.run(read, _READ_SECONDS + _ANSWER_SECONDS)
            if snapshot is None:
                raise TooManyEntitiesError(f"the box holds more than {MAX_ENTITIES:,} entities: choose a smaller one")
            known = self._snapshot
            if known is None or snapshot.tick > known.tick or (snapshot.tick == known.tick and since < known.since):
                self._snapshot, self._frames = snapshot, {}
        except (NoStateError, TimeoutError):
            return None
        finally:
            self._taking = None
        return self._snapshot

    def _extract(self, since: int, view: CommittedArea) -> AreaSnapshot | None:
        from pairsim.protocol.interest import extract  # noqa: PLC0415 - a spare must stay small
        from pairsim.server.reads.departed import with_departures  # noqa: PLC0415 - likewise

        published = view.published
        snapshot = extract(
            view.table,
            tick=published.tick,
            term=published.term,
            box=self._selection.box,
            components=self._selection.components,
            limit=MAX_ENTITIES,
        )
        return None if snapshot is None else with_departures(snapshot, view.table.ids, view.borders, since)

    async def _encode(self, base: AreaSnapshot | None, snapshot: AreaSnapshot, *, after_gap: bool = False) -> bytes:
        return await self._executor.run(functools.partial(_encoded, base, snapshot, after_gap), _READ_SECONDS)


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
        reject_unknown_query(request, "min", "max", "components", "hz", "clock")
        selection = parse_selection(request)
        rate = _parse_rate(request)
        clock = query_int(request, "clock", -1)
        selection.check(self._service)

        async def work(socket: web.WebSocketResponse) -> None:
            group = self._groups.get(selection)
            if group is None:
                group = ObserverGroup(selection, self._service, self._hub, self._executor)
                self._groups[selection] = group
            group.observers += 1
            try:
                await run_pusher(socket, _push(socket, group, rate, clock))
            finally:
                group.observers -= 1
                group.forget(socket)
                if not group.observers:
                    del self._groups[selection]

        return await self.sockets.serve(request, work, max_frame=_MAX_INCOMING, heartbeat=_HEARTBEAT_SECONDS)


async def _push(socket: web.WebSocketResponse, group: ObserverGroup, rate: float, clock: int) -> None:
    """Sends an observer at most `rate` frames per second; `clock` is that of its last frame, or -1."""
    loop = asyncio.get_running_loop()
    sent: AreaSnapshot | None = None
    due = loop.time()
    if clock >= 0:
        group.note(socket, clock)
    try:
        while not socket.closed:
            snapshot = await group.newer(sent)
            await send(socket, await group.frame(sent, snapshot, after_gap=sent is None and clock >= 0))
            sent = snapshot
            group.note(socket, snapshot.clock)
            # By schedule, so that jitter of a tick does not cost the next one; but never in a burst.
            due = max(due + 1.0 / rate, loop.time() - 1.0 / rate)
            await asyncio.sleep(max(due - loop.time(), 0.0))
    except TooManyEntitiesError as error:
        await close(socket, WSCloseCode.MESSAGE_TOO_BIG, str(error))
    except (HttpError, TimeoutError, KeyError) as error:
        known = to_http_error(error) or internal_error(error, "an observer")
        await close(socket, WSCloseCode.TRY_AGAIN_LATER, known.sentence)


def _encoded(base: AreaSnapshot | None, snapshot: AreaSnapshot, after_gap: bool) -> bytes:
    from pairsim.protocol.interest import diff  # noqa: PLC0415 - a spare must stay small

    return msgspec.msgpack.encode(diff(base, snapshot, after_gap=after_gap))


def _parse_rate(request: web.Request) -> float:
    """Returns the query parameter `hz` in frames per second; the highest rate without it."""
    text = request.query.get("hz")
    if text is None:
        return MAX_HZ
    rate = parse_float(text, "hz")
    if not MIN_HZ <= rate <= MAX_HZ:
        raise HttpError(400, f"hz must be within {MIN_HZ:g} to {MAX_HZ:g}")
    return rate
