"""The Python client of an area: both replicas of the pair behind one object.

It retries across takeovers with the same command ids, so a command is applied once however often it was sent; it
knows neither replication nor numpy, so that a controller or a probe stays small.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from pairsim.client import process_requests
from pairsim.client.delivery import Delivery
from pairsim.client.errors import ClientError, CommandsRefused, Overloaded, RequestRefused, Unavailable
from pairsim.client.http import Caller, UnreachableError
from pairsim.client.session import Session
from pairsim.client.transports import Posting
from pairsim.model.assignment import Assignment
from pairsim.model.authority import Authority
from pairsim.model.commands import Command, Result
from pairsim.model.status import ReplicaStatus, WitnessStatus
from pairsim.protocol.frames import DigestsAnswer, EntitiesAnswer, EntityAnswer, Frame, SwitchoverAnswer

__all__ = [
    "AreaClient",
    "ClientError",
    "CommandsRefused",
    "Overloaded",
    "RequestRefused",
    "Session",
    "Unavailable",
    "new_id",
]

T = TypeVar("T")

_HEDGE_SECONDS = 0.15
_PATIENCE_SECONDS = 1.0
_NOT_THE_ACTIVE = 421


def new_id() -> str:
    """A command id that nobody else uses."""
    return uuid.uuid4().hex


class AreaClient:
    """Talks to the processes at `urls`; use it as an async context manager.

    Commands, reads and observers go to any replica that answers. `assign`, `release` and `watch` are orders to and
    reports of one process: give the client that process's URL alone.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        area: str | None = None,
        replica: str | None = None,
        deadline: float = 10.0,
        token: str | None = None,
        tick_rate: float = 20.0,
    ) -> None:
        """Opens nothing yet.

        Args:
            urls: Bases of the HTTP APIs of the pair's replicas (or of one process). With `area`, others may be among
                them, spares for example that may take a replica's place.
            area: Its name; a process that has another area is passed over. Always give it where processes change
                their areas.
            replica: The name of the one process that is meant; another one at its address answers nothing.
            deadline: Seconds that a call may take altogether.
            token: For the control paths.
            tick_rate: Of the area, in ticks per second; a batch is sent to the other replica as well when there
                was no answer for three ticks (but at least 150 ms).

        Raises:
            ValueError: There is no URL.
        """
        if not urls:
            raise ValueError("the client needs the URL of at least one process")
        self._urls = tuple(url.rstrip("/") for url in urls)
        self._deadline, self._token = deadline, token
        self._caller = Caller(area, replica)
        self._hedge = max(_HEDGE_SECONDS, 3 / tick_rate)
        self._patience = max(_PATIENCE_SECONDS, 5 / tick_rate)
        self._delivery = Delivery(self._urls, Posting(self._caller, seconds=deadline).attempt, hedge=self._hedge)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes all connections."""
        await self._caller.close()

    # --- commands

    async def send(self, commands: Sequence[Command]) -> list[Result]:
        """Has a batch committed, once, through whichever replica; results in the order of the commands.

        Raises:
            CommandsRefused: The batch is not valid; nothing of it was applied.
            Overloaded: The area takes no more at the moment; nothing of it was applied.
            Unavailable: Not committed before the deadline; its `unknown` holds the ids whose fate is not known.
        """
        return await self._delivery.deliver(commands, self._deadline)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """A kept connection for many batches, with the guarantees of `send`: the fast way in."""
        session = Session(
            self._caller, self._urls, hedge=self._hedge, deadline=self._deadline, tick=self._delivery.tick
        )
        try:
            yield session
        finally:
            await session.close()

    # --- reads

    async def observe(
        self,
        low: Sequence[float] | None = None,
        high: Sequence[float] | None = None,
        *,
        components: Sequence[str] = (),
        hz: float | None = None,
    ) -> AsyncIterator[Frame]:
        """Follows the entities in the box [low, high) in metres, as one unbroken sequence of frames.

        The first frame is a keyframe; later ones say what changed since the one before, even if another replica
        sends them. Ticks only go up and the term never goes down.

        Args:
            low: Lower corner, 2 or 3 axes; None for everything.
            high: Upper corner.
            components: Names; none for all.
            hz: Frames per second at most; None for every tick.

        Raises:
            RequestRefused: A name, bound or rate is not valid.
            Unavailable: Nothing new came before the deadline.
        """
        from pairsim.client.observation import observe  # noqa: PLC0415 - it needs numpy, the rest does not

        query = box_query(low, high)
        if components:
            query["components"] = ",".join(components)
        if hz is not None:
            query["hz"] = repr(float(hz))
        frames = observe(self._caller.http, self._urls, query, silence=self._deadline, patience=self._patience)
        async with aclosing(frames):
            async for frame in frames:
                yield frame

    async def status(self) -> ReplicaStatus:
        """The status of the first replica that answers.

        Raises:
            Unavailable: None does.
        """
        return await self._read("/v1/status", ReplicaStatus)

    async def witness_status(self) -> WitnessStatus:
        """The status of a witness process.

        Raises:
            Unavailable: It does not answer.
        """
        return await self._read("/v1/status", WitnessStatus)

    async def entity(self, entity: int) -> EntityAnswer | None:
        """An entity's components and the tick that they belong to; None if there is no such entity.

        Raises:
            Unavailable: No replica answers.
        """
        try:
            return await self._read(f"/v1/entities/{entity}", EntityAnswer)
        except RequestRefused as error:
            if error.status == 404:
                return None
            raise

    async def entities(
        self,
        low: Sequence[float] | None = None,
        high: Sequence[float] | None = None,
        *,
        limit: int = 100,
        after: int | None = None,
    ) -> EntitiesAnswer:
        """Entities ordered by id, in the box [low, high) in metres (2 or 3 axes); `after` goes on after an id.

        Raises:
            RequestRefused: A bound or the limit is not valid.
            Unavailable: No replica answers.
        """
        query = {"limit": str(limit)} | box_query(low, high)
        if after is not None:
            query["after"] = str(after)
        return await self._read("/v1/entities", EntitiesAnswer, query)

    async def digests(self, first: int, last: int) -> dict[int, str]:
        """Digests of the recent committed ticks in [first, last] that the replica which answers was at.

        Raises:
            Unavailable: No replica answers.
        """
        answer = await self._read("/v1/digests", DigestsAnswer, {"from": str(first), "to": str(last)})
        return {int(tick): digest for tick, digest in answer.digests.items()}

    # --- control

    async def backup(self, area: str, save: process_requests.Save, *, seconds: float) -> process_requests.BackupMade:
        """Has everything in an area saved by the one process of this client: gzipped JSON lines, as pieces.

        Each line is a `spawn` command. An exception of `save` ends it.

        Raises:
            RequestRefused: The process has another area, or the token is wrong.
            Unavailable: It did not answer or the connection broke, or it took longer than `seconds`; what was saved
                is of no use.
        """
        return await process_requests.backup(self._caller, self._only(), area, save, seconds=seconds, token=self._token)

    async def switchover(self, token: str | None = None) -> SwitchoverAnswer:
        """Hands the area over to the passive; whichever replica is the active does it.

        Raises:
            RequestRefused: The passive is not in sync, the token is wrong, or no replica that answers is the active.
            Unavailable: No replica answered, or the active cannot do it now.
        """
        body = await self._order_active("POST", "/v1/switchover", b"", token)
        return msgspec.json.decode(body, type=SwitchoverAnswer)

    async def assign(self, assignment: Assignment) -> None:
        """Makes the one process of this client a member of a generation; idempotent.

        Raises:
            RequestRefused: It contradicts what the process knows (409), or the token is wrong (401, 403).
            Unavailable: The process did not answer.
        """
        await self._order("PUT", self._only(), "/v1/assignment", body=msgspec.json.encode(assignment))

    async def release(self, area: str) -> None:
        """Makes the one process of this client leave an area; idempotent.

        Raises:
            RequestRefused, Unavailable: As for `assign`.
        """
        await self._order("DELETE", self._only(), "/v1/assignment", query={"area": area})

    async def authorise(self, authority: Authority) -> None:
        """Grants an area its bounds; whichever replica is the active commits it.

        Raises:
            RequestRefused, Unavailable: As for `switchover`.
        """
        await self._order_active("PUT", "/v1/authority", msgspec.json.encode(authority), None)

    async def watch(self) -> AsyncIterator[ReplicaStatus]:
        """Statuses of the one process of this client: at once, on every change, at least every second.

        Raises:
            Unavailable: The connection broke, or nothing came for three seconds: the process is gone or hung.
        """
        async for status in process_requests.watch(
            self._caller, self._only(), ReplicaStatus, seconds=self._deadline, token=self._token
        ):
            yield status

    async def watch_witness(self) -> AsyncIterator[WitnessStatus]:
        """The same for a witness process.

        Raises:
            Unavailable: As for `watch`.
        """
        async for status in process_requests.watch(
            self._caller, self._only(), WitnessStatus, seconds=self._deadline, token=self._token
        ):
            yield status

    # --- how

    def _only(self) -> str:
        if len(self._urls) != 1:
            raise ValueError("this goes to one process: make a client with that process's URL alone")
        return self._urls[0]

    async def _read(self, path: str, kind: type[T], query: Mapping[str, str] | None = None) -> T:
        return await process_requests.read(self._caller, self._urls, path, kind, query=query, seconds=self._deadline)

    async def _order_active(self, method: str, path: str, body: bytes, token: str | None) -> bytes:
        """Asks one replica after the other until one is the active."""
        failure: ClientError | None = None
        for url in self._urls:
            try:
                return await self._order(method, url, path, token=token, body=body)
            except RequestRefused as error:
                if error.status != _NOT_THE_ACTIVE:
                    raise
                failure = error
            except Unavailable as error:
                if not isinstance(error.__cause__, UnreachableError):
                    raise  # it may have been done: the other replica must not do it again
                failure = failure or error
        raise failure or Unavailable("no replica was asked")

    async def _order(
        self,
        method: str,
        url: str,
        path: str,
        *,
        token: str | None = None,
        body: bytes | None = None,
        query: Mapping[str, str] | None = None,
    ) -> bytes:
        return await process_requests.order(
            self._caller,
            method,
            url + path,
            seconds=self._deadline,
            token=token or self._token,
            body=body,
            query=query,
        )


def box_query(low: Sequence[float] | None, high: Sequence[float] | None) -> dict[str, str]:
    """The query parameters of a box."""
    bounds = {"min": low, "max": high}
    return {name: ",".join(map(repr, map(float, at))) for name, at in bounds.items() if at is not None}
