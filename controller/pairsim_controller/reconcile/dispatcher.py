"""Sends requests to processes in the background.

The same request to the same process is in flight at most once. A request that fails is not repeated here: the next
round decides it again, and its pause grows with the number of failures in a row.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Collection, Iterator

import msgspec
import structlog

from pairsim.client import ClientError, ProcessClient
from pairsim.model.authority import Authority
from pairsim_controller.plan.view import (
    Assign,
    BackUp,
    GrantAuthority,
    KeepWarmEngine,
    Release,
    Report,
    Request,
    ResendAssignment,
    Switchover,
)
from pairsim_controller.reconcile.backup_folder import BACKUP_SECONDS, BackupError
from pairsim_controller.reconcile.ports import BackupStore

log = structlog.get_logger()

_RETRY_SECONDS, _LONGEST_RETRY_SECONDS = 0.1, 2.0
_REQUEST_SECONDS = 15.0
_MIN_FAILURES = 3
"""Failures in a row that are not a coincidence any more."""

GRANTS_AT_ONCE = 16
"""Grants that are under way at a time: those of a large plane take 300 KB each."""

_NO_TURNS = contextlib.nullcontext()

_FAILURE_TTL_SECONDS = 10 * _REQUEST_SECONDS

Key = tuple[str, str, str, int]


class _RepeatedFailure(msgspec.Struct, frozen=True):
    """A request that failed `times` in a row, last at `at` on the monotonic clock."""

    times: int
    at: float
    reason: str


class Dispatcher:
    """Sends the requests that were decided, each in a task of its own."""

    def __init__(self, client: Callable[[str], ProcessClient | None], backups: BackupStore | None = None) -> None:
        """Creates a dispatcher without requests in flight.

        Args:
            client: Returns the client of a process by name; None if the process is gone.
            backups: Keeps the states of areas; None if backups are not made.
        """
        self._client, self._backups = client, backups
        self._in_flight: dict[Key, asyncio.Task[None]] = {}
        self._failures: dict[tuple[str, str, str], _RepeatedFailure] = {}
        self._versions: dict[str, int] = {}
        self._grant_turns = asyncio.Semaphore(GRANTS_AT_ONCE)

    def dispatch(self, request: Request) -> None:
        """Sends a request to all its targets, except where the same request is in flight."""
        match request:
            case Assign() | ResendAssignment():
                assignment = request.assignment
                for target in request.targets:
                    key = target, "assign", assignment.spec.area, assignment.generation
                    self._send(key, lambda client: client.assign(assignment))
            case Release():
                self._send((request.target, "release", request.area, 0), lambda client: client.release(request.area))
            case Switchover():
                self._send((request.target, "switchover", request.area, 0), lambda client: client.switchover())
            case GrantAuthority(target, authority):
                self._grant(target, authority)
            case KeepWarmEngine(target, keep):
                self._send((target, "warm engine", "", 0), lambda client: client.keep_warm_engine(keep=keep))
            case BackUp() if self._backups is not None:
                backups = self._backups
                key = request.target, "backup", request.area, 0
                self._send(key, lambda client: backups.back_up(client, request.area), BACKUP_SECONDS)

    def _grant(self, target: str, authority: Authority) -> None:
        """Sends a grant, unless a later one has been decided by the time that its turn comes."""
        area, version = authority.area, authority.version
        self._versions[area] = version

        async def send(client: ProcessClient) -> None:
            if version == self._versions[area]:
                await client.authorise(authority)

        self._send((target, "authority", area, version), send, turns=self._grant_turns)

    def failing(self, area: str, now: float, busy: Collection[str] = ()) -> Iterator[Report]:
        """Yields a report for each request about an area that fails again and again.

        Args:
            area: The name of the area.
            now: A monotonic time in seconds.
            busy: The processes that cannot answer yet, since they start or compile; their failures are forgotten.
        """
        for key, failure in list(self._failures.items()):
            if key[0] in busy or now - failure.at > _FAILURE_TTL_SECONDS:  # too old: its target may be gone
                del self._failures[key]
            elif key[2] == area and failure.times >= _MIN_FAILURES and now - failure.at < _REQUEST_SECONDS:
                target, name, _area = key
                yield Report(area, f"the request {name!r} to {target} failed: {failure.reason}")

    async def close(self) -> None:
        """Cancels all requests in flight."""
        tasks = list(self._in_flight.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _send(
        self,
        key: Key,
        send: Callable[[ProcessClient], Awaitable[object]],
        seconds: float = _REQUEST_SECONDS,
        turns: contextlib.AbstractAsyncContextManager[object] = _NO_TURNS,
    ) -> None:
        client = self._client(key[0])
        if key in self._in_flight or client is None:
            return
        self._in_flight[key] = task = asyncio.create_task(self._run(key, client, send, seconds, turns))
        task.add_done_callback(lambda _task: self._in_flight.pop(key, None))

    async def _run(
        self,
        key: Key,
        client: ProcessClient,
        send: Callable[[ProcessClient], Awaitable[object]],
        seconds: float,
        turns: contextlib.AbstractAsyncContextManager[object],
    ) -> None:
        target, name, area, _generation = key
        try:
            async with turns, asyncio.timeout(seconds):
                await send(client)
        except (ClientError, BackupError, TimeoutError) as error:
            before = self._failures.get(key[:3])
            times = before.times + 1 if before is not None else 1
            self._failures[key[:3]] = _RepeatedFailure(times, time.monotonic(), str(error) or "no answer")
            log.info("request failed", target=target, request=name, area=area, reason=str(error), times=times)
            await asyncio.sleep(min(_RETRY_SECONDS * 2 ** min(times, 10), _LONGEST_RETRY_SECONDS))
        else:
            self._failures.pop(key[:3], None)
            await asyncio.sleep(_RETRY_SECONDS)
