"""The Python client of an area: both replicas of its pair behind one object.

The client retries across takeovers with the same command ids, so a command is applied once however often it was sent.
It imports neither replication nor numpy (until it observes), so that a small program stays small.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import TypeVar

import msgspec

from pairsim.client import process_requests
from pairsim.client.delivery import Delivery
from pairsim.client.entity_answers import E, decode_entities
from pairsim.client.errors import RequestRefused
from pairsim.client.http import ClosingClient, HttpClient
from pairsim.client.process_requests import BackupSummary, Save
from pairsim.client.session import Session
from pairsim.client.transports import HttpTransport
from pairsim.model.authority import Authority
from pairsim.model.commands import Command, Result
from pairsim.model.status import ReplicaStatus
from pairsim.protocol.bounds import box_query, selection_query
from pairsim.protocol.frames import (
    DigestsAnswer,
    EntitiesAnswer,
    EntityAnswer,
    FailingTickAnswer,
    Frame,
    OrderAnswer,
    RestartRequest,
    SkipRequest,
    SwitchoverAnswer,
)

T = TypeVar("T")

_MIN_HEDGE_SECONDS = 0.15
_HEDGE_TICKS = 3
_MIN_SILENCE_SECONDS = 1.0
_SILENCE_TICKS = 5


def new_id() -> str:
    """Returns a new command id, 32 hex digits, which is unique in practice (UUID 4)."""
    return uuid.uuid4().hex


class AreaClient(ClosingClient):
    """Sends commands to an area and reads its state; use it as an async context manager.

    Commands, reads and observers go to any replica that answers. Use a `ProcessClient` for requests to one process.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        area: str | None = None,
        deadline: float = 10.0,
        token: str | None = None,
        tick_rate: float = 20.0,
    ) -> None:
        """Opens nothing yet.

        Args:
            urls: Bases of the HTTP APIs of the pair's replicas. With `area`, other processes may be among them,
                spares for example that may take a replica's place.
            area: The area's name; processes that have another area are passed over. Always give it where processes
                change their areas.
            deadline: Seconds that a call may take altogether.
            token: The bearer token of the control paths: `switchover`, `authorise` and `backup` need it.
            tick_rate: The area's tick rate in ticks per second. A batch is sent to the other replica as well when no
                answer came for three ticks (but at least 150 ms).

        Raises:
            ValueError: `urls` is empty.
        """
        if not urls:
            raise ValueError("the client needs the URL of at least one process")
        self._urls = tuple(url.rstrip("/") for url in urls)
        self._deadline, self._token = deadline, token
        self._http = HttpClient(area)
        self._hedge = max(_MIN_HEDGE_SECONDS, _HEDGE_TICKS / tick_rate)
        self._silence = max(_MIN_SILENCE_SECONDS, _SILENCE_TICKS / tick_rate)
        transport = HttpTransport(self._http, seconds=deadline)
        self._delivery = Delivery(self._urls, transport.attempt, hedge=self._hedge)

    async def close(self) -> None:
        """Closes all connections."""
        await self._http.close()

    # --- commands

    async def send(self, commands: Sequence[Command]) -> list[Result]:
        """Has a batch committed, once, by any replica, and returns a result per command in their order.

        A batch holds at most 10,000 commands, and is applied completely or not at all, though a command in it may
        be rejected. To send a batch again after `Unavailable`, use the same ids.

        Raises:
            CommandsRefused: The batch is not valid; nothing of it was applied.
            Overloaded: The area takes no more commands at the moment; nothing of the batch was applied.
            Unavailable: Not committed before the deadline. Its attribute `unknown` holds the ids of commands that may
                have been applied.
        """
        return await self._delivery.deliver(commands, self._deadline)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Opens a kept connection for many batches, with the guarantees of `send`: the fastest way to send."""
        session = Session(self._http, self._urls, hedge=self._hedge, deadline=self._deadline, tick=self._delivery.tick)
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
    ) -> AsyncGenerator[Frame, None]:
        """Follows the entities in the box [low, high), as one unbroken sequence of frames.

        The first frame is a keyframe. Each later frame is the difference to the one before, even if another replica
        sends it. Ticks only go up, and the term never goes down. `pairsim.protocol.interest.apply` turns frames into
        the content of the box.

        Args:
            low: The lower corner in metres, 2 or 3 axes; None for all entities of the area, wherever they are.
            high: The upper corner in metres, 2 or 3 axes; None likewise.
            components: Names of the components that are wanted; all if empty.
            hz: Frames per second at most; None for a frame at every tick.

        Raises:
            RequestRefused: A name, bound or rate is not valid (400), or the box holds too many entities (413).
            Unavailable: Nothing new came before the deadline.
        """
        from pairsim.client.observation import observe  # noqa: PLC0415 - it needs numpy, the rest does not

        query = selection_query(low, high, components, hz)
        frames = observe(
            self._http.session, lambda: self._urls, query, silence=self._deadline, replica_silence=self._silence
        )
        async with aclosing(frames):
            async for frame in frames:
                yield frame

    async def status(self) -> ReplicaStatus:
        """Returns the status of the first replica that answers.

        Raises:
            RequestRefused: The process that answered is not a simulator.
            Unavailable: No replica answers.
        """
        return await self._read("/v1/status", ReplicaStatus)

    async def entity(self, entity: int) -> EntityAnswer | None:
        """Returns an entity's components and the tick that they belong to; None if the area has no such entity.

        Raises:
            RequestRefused: The id is not valid: it must be within 0 to 2**63 - 1.
            Unavailable: No replica answers.
        """
        try:
            return await self._read_entities(f"/v1/entities/{entity}", EntityAnswer)
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
        """Returns entities in the box [low, high), a page ordered by id.

        Args:
            low: The lower corner in metres, 2 or 3 axes; None for all entities of the area, wherever they are.
            high: The upper corner in metres, 2 or 3 axes; None likewise.
            limit: The largest number of entities, 1 to 10,000.
            after: The page begins after this id: the `next` of the page before. None for the first page.

        Raises:
            RequestRefused: A bound or the limit is not valid.
            Unavailable: No replica answers.
        """
        query = {"limit": str(limit)} | box_query(low, high)
        if after is not None:
            query["after"] = str(after)
        return await self._read_entities("/v1/entities", EntitiesAnswer, query)

    async def digests(self, first: int, last: int) -> dict[int, str]:
        """Returns digests (16 hex digits) by tick, of the recent committed ticks in [first, last].

        Ticks that the state of the answering replica was not at are missing.

        Raises:
            RequestRefused: The range is not valid: it holds at most 10,000 ticks.
            Unavailable: No replica answers.
        """
        answer = await self._read("/v1/digests", DigestsAnswer, {"from": str(first), "to": str(last)})
        return {int(tick): digest for tick, digest in answer.digests.items()}

    async def backup(self, area: str, save: Save, *, seconds: float) -> BackupSummary:
        """Has everything in the area saved, as it is at one committed tick, by the first replica that can.

        A backup is gzipped JSON lines: one `spawn` command for each entity. Needs the token.

        Args:
            area: The area to back up.
            save: Is called with one piece after the other. An exception that it raises ends the backup.
            seconds: How long the backup may take altogether.

        Raises:
            RequestRefused: Every process answered that it does not have the area (421), or the token is wrong (401,
                403).
            Unavailable: A replica did not answer or cannot give a backup now, the connection broke, or the backup took
                longer than `seconds`; the pieces that were saved until then are of no use.
        """
        return await process_requests.backup_any(self._http, self._urls, area, save, seconds=seconds, token=self._token)

    async def map(self) -> Authority:
        """Returns what the area knows of the map of its plane: the version, and the cells with their replicas.

        Raises:
            RequestRefused: Every process answered that it does not have the area.
            Unavailable: No replica answered.
        """
        return await self._read("/v1/map", Authority)

    # --- control

    async def switchover(self, token: str | None = None) -> SwitchoverAnswer:
        """Hands the area over to the passive, and returns the new term and the gap in milliseconds.

        Args:
            token: A bearer token to use instead of the client's.

        Raises:
            RequestRefused: The passive is not in sync, the token is wrong, or no replica that answers is the active.
            Unavailable: No replica answered, or the active cannot do it now.
        """
        body = await self._control_active("POST", "/v1/switchover", b"", token)
        return msgspec.json.decode(body, type=SwitchoverAnswer)

    async def skip(self, command: str) -> OrderAnswer:
        """Leaves a command out of the tick at which both replicas of the paused area fail.

        Args:
            command: The id of the command, which is then rejected as "skipped".

        Raises:
            RequestRefused: The order cannot be accepted, the token is wrong, or no replica that answers leads.
            Unavailable: It is not known whether the order came into force.
        """
        body = msgspec.json.encode(SkipRequest(command))
        return msgspec.json.decode(await self._control_active("POST", "/v1/skip", body, None), type=OrderAnswer)

    async def failing_tick(self) -> FailingTickAnswer:
        """Returns the tick before which the area is paused, with all its commands.

        Raises:
            RequestRefused: The area is not paused, the token is wrong, or no replica that answers leads.
            Unavailable: No replica answered.
        """
        return msgspec.json.decode(await self._control_active("GET", "/v1/skip", None, None), type=FailingTickAnswer)

    async def restart_engines(self, *, even_if_seen: bool = False) -> OrderAnswer:
        """Starts the engines of the paused area again, with the newest code, before the next attempt is due.

        Args:
            even_if_seen: Whether other code may compute a tick that clients may have seen.

        Raises:
            RequestRefused, Unavailable: As for `skip`.
        """
        body = msgspec.json.encode(RestartRequest(even_if_seen))
        answer = await self._control_active("POST", "/v1/engines/restart", body, None)
        return msgspec.json.decode(answer, type=OrderAnswer)

    async def authorise(self, authority: Authority) -> None:
        """Brings the area a version of the map of its plane; the active commits the grant.

        Raises:
            RequestRefused: The grant contradicts what the active knows, the token is wrong, or no replica that
                answers is the active.
            Unavailable: No replica answered, or the active cannot do it now.
        """
        await self._control_active("PUT", "/v1/authority", msgspec.json.encode(authority), None)

    async def _read(self, path: str, kind: type[T], query: Mapping[str, str] | None = None) -> T:
        return await process_requests.read(self._http, self._urls, path, kind, query=query, seconds=self._deadline)

    async def _read_entities(self, path: str, kind: type[E], query: Mapping[str, str] | None = None) -> E:
        def decode(body: bytes) -> E:
            return decode_entities(body, kind)

        return await process_requests.read(
            self._http, self._urls, path, kind, query=query, seconds=self._deadline, decode=decode
        )

    async def _control_active(self, method: str, path: str, body: bytes | None, token: str | None) -> bytes:
        return await process_requests.control_active(
            self._http, method, self._urls, path, seconds=self._deadline, token=token or self._token, body=body
        )
