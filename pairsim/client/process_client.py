"""The client of one process: what the controller and tests of a world ask of a replica or a witness."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import msgspec

from pairsim.client import process_requests
from pairsim.client.http import ClosingClient, HttpClient
from pairsim.client.process_requests import BackupSummary, Save
from pairsim.model.assignment import Assignment
from pairsim.model.authority import Authority
from pairsim.model.status import ReplicaStatus, WitnessStatus
from pairsim.protocol.frames import (
    DigestsAnswer,
    FailingTickAnswer,
    OrderAnswer,
    RestartRequest,
    SkipRequest,
    SwitchoverAnswer,
    WarmEngineRequest,
)


class ProcessClient(ClosingClient):
    """Sends requests to one process and follows its status; use it as an async context manager.

    Every request goes to that process alone. A request of control is sent once: after `Unavailable` it may have taken
    effect. `assign` and `release` are idempotent, so that they can be repeated.
    """

    def __init__(
        self,
        url: str,
        *,
        replica: str | None = None,
        area: str | None = None,
        deadline: float = 10.0,
        token: str | None = None,
    ) -> None:
        """Opens nothing yet.

        Args:
            url: The base of the process's HTTP API.
            replica: The name of the process that is meant; another process at the same address refuses (status 421).
                None for any process.
            area: The area that is meant; a process that has another area refuses (status 421). None for any area.
            deadline: Seconds that a call may take altogether.
            token: The bearer token of the control paths.
        """
        self._url = url.rstrip("/")
        self._deadline, self._token = deadline, token
        self._http = HttpClient(area, replica)

    async def close(self) -> None:
        """Closes all connections."""
        await self._http.close()

    async def status(self) -> ReplicaStatus:
        """Returns the status of a simulator process.

        Raises:
            RequestRefused: The process is not a simulator.
            Unavailable: The process does not answer.
        """
        return await process_requests.read(
            self._http, [self._url], "/v1/status", ReplicaStatus, query=None, seconds=self._deadline
        )

    async def witness_status(self) -> WitnessStatus:
        """Returns the status of a witness process.

        Raises:
            RequestRefused: The process is not a witness.
            Unavailable: The process does not answer.
        """
        return await process_requests.read(
            self._http, [self._url], "/v1/status", WitnessStatus, query=None, seconds=self._deadline
        )

    async def watch(self) -> AsyncGenerator[ReplicaStatus, None]:
        """Yields the statuses of a simulator process: at once, on every change, and at least every second.

        Raises:
            Unavailable: The connection broke, or nothing came for three seconds: the process has ended or hangs.
        """
        async for status in process_requests.watch(
            self._http, self._url, ReplicaStatus, seconds=self._deadline, token=self._token
        ):
            yield status

    async def watch_witness(self) -> AsyncGenerator[WitnessStatus, None]:
        """Yields the statuses of a witness process: at once, on every change, and at least every second.

        Raises:
            Unavailable: As for `watch`.
        """
        async for status in process_requests.watch(
            self._http, self._url, WitnessStatus, seconds=self._deadline, token=self._token
        ):
            yield status

    async def digests(self, first: int, last: int) -> dict[int, str]:
        """Returns digests (16 hex digits) by tick, of the recent committed ticks in [first, last].

        Ticks that this replica's state was not at are missing.

        Raises:
            RequestRefused: The range is not valid.
            Unavailable: The process does not answer.
        """
        query = {"from": str(first), "to": str(last)}
        answer = await process_requests.read(
            self._http, [self._url], "/v1/digests", DigestsAnswer, query=query, seconds=self._deadline
        )
        return {int(tick): digest for tick, digest in answer.digests.items()}

    async def assign(self, assignment: Assignment) -> None:
        """Makes the process a member of a generation; idempotent.

        Raises:
            RequestRefused: The assignment contradicts what the process knows (409), or the token is wrong (401, 403).
            Unavailable: The process did not answer.
        """
        await self._control("PUT", "/v1/assignment", body=msgspec.json.encode(assignment))

    async def map(self) -> Authority:
        """Returns what the area of the process knows of the map of its plane.

        Raises:
            Unavailable: The process does not answer, or is a spare.
        """
        return await process_requests.read(
            self._http, [self._url], "/v1/map", Authority, query=None, seconds=self._deadline
        )

    async def authorise(self, authority: Authority) -> None:
        """Brings a version of the map to the process, which has to be the active of the area; idempotent.

        Raises:
            RequestRefused: The process is not the active (421), the area knows a higher version (409), or the token is
                wrong (401, 403).
            Unavailable: The process did not answer, or could not commit the grant in time.
        """
        await self._control("PUT", "/v1/authority", body=msgspec.json.encode(authority))

    async def release(self, area: str) -> None:
        """Makes the process leave an area and forget its state; idempotent.

        Raises:
            RequestRefused, Unavailable: As for `assign`.
        """
        await self._control("DELETE", "/v1/assignment", query={"area": area})

    async def keep_warm_engine(self, *, keep: bool) -> None:
        """Makes the process keep an engine ready whenever it is a spare, or none; idempotent.

        Raises:
            RequestRefused, Unavailable: As for `assign`.
        """
        await self._control("PUT", "/v1/warm-engine", body=msgspec.json.encode(WarmEngineRequest(keep)))

    async def switchover(self) -> SwitchoverAnswer:
        """Makes the process, which has to be the active, hand its area over to the passive.

        Raises:
            RequestRefused: The process is not the active (421), the passive is not in sync (409), or the token is
                wrong (401, 403).
            Unavailable: The process did not answer, or cannot do it now.
        """
        return msgspec.json.decode(await self._control("POST", "/v1/switchover", body=b""), type=SwitchoverAnswer)

    async def skip(self, command: str) -> OrderAnswer:
        """Makes the process, which has to lead its paused area, leave a command out of the tick that fails.

        Raises:
            RequestRefused: The process does not lead (421), the order cannot be accepted (409), or the token is wrong
                (401, 403).
            Unavailable: It is not known whether the order came into force.
        """
        body = msgspec.json.encode(SkipRequest(command))
        return msgspec.json.decode(await self._control("POST", "/v1/skip", body=body), type=OrderAnswer)

    async def failing_tick(self) -> FailingTickAnswer:
        """Returns the tick before which the area of the process, which has to lead it, is paused.

        Raises:
            RequestRefused: The process does not lead (421), the area is not paused (409), or the token is wrong (401,
                403).
            Unavailable: The process did not answer.
        """
        return msgspec.json.decode(await self._control("GET", "/v1/skip"), type=FailingTickAnswer)

    async def restart_engines(self, *, even_if_seen: bool = False) -> OrderAnswer:
        """Makes the process, which has to lead its paused area, start the engines again, with the newest code.

        Raises:
            RequestRefused, Unavailable: As for `skip`.
        """
        body = msgspec.json.encode(RestartRequest(even_if_seen))
        return msgspec.json.decode(await self._control("POST", "/v1/engines/restart", body=body), type=OrderAnswer)

    async def backup(self, area: str, save: Save, *, seconds: float) -> BackupSummary:
        """Has everything in the process's area saved, as it is at one committed tick.

        A backup is gzipped JSON lines: one `spawn` command for each entity.

        Args:
            area: The area to back up.
            save: Is called with one piece after the other. An exception that it raises ends the backup.
            seconds: How long the backup may take altogether.

        Raises:
            RequestRefused: The process has another area (421), or the token is wrong (401, 403).
            Unavailable: The process did not answer, the connection broke, or the backup took longer than `seconds`;
                the pieces that were saved until then are of no use.
        """
        return await process_requests.backup(self._http, self._url, area, save, seconds=seconds, token=self._token)

    async def _control(
        self, method: str, path: str, *, body: bytes | None = None, query: dict[str, str] | None = None
    ) -> bytes:
        return await process_requests.control(
            self._http, method, self._url + path, seconds=self._deadline, token=self._token, body=body, query=query
        )
