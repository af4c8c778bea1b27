"""Orders to processes, sent in the background: each at most once at a time, and again after a growing pause."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator

import msgspec
import structlog

from pairsim.client import ClientError, ProcessClient
from pairsim_controller.plan.view import Assign, BackUp, Release, Remind, Say, Switchover
from pairsim_controller.reconcile.backup_folder import SECONDS as BACKUP_SECONDS
from pairsim_controller.reconcile.backup_folder import BackupError

log = structlog.get_logger()

_AGAIN, _LONGEST_AGAIN = 0.1, 2.0
_ORDER_SECONDS = 15.0
_IN_VAIN = 3
"""Failures in a row that are no coincidence any more."""

_FORGOTTEN = 10 * _ORDER_SECONDS

Order = Assign | Remind | Release | BackUp | Switchover

Keep = Callable[[ProcessClient, str], Awaitable[None]]

Key = tuple[str, str, str, int]


class _Failing(msgspec.Struct, frozen=True):
    """An order that failed `times` in a row, the last time at `at`."""

    times: int
    at: float
    reason: str


class Orders:
    """Carries out what is decided about processes; what failed is decided again, and then sent again."""

    def __init__(self, client: Callable[[str], ProcessClient | None], keep: Keep | None = None) -> None:
        """`client` gives the client of one process, None for one that is gone; `keep` keeps what it has of an area."""
        self._client, self._keep = client, keep
        self._busy: dict[Key, asyncio.Task[None]] = {}
        self._failing: dict[tuple[str, str, str], _Failing] = {}

    def give(self, action: Order) -> None:
        """Sends it to all its targets, unless the same is on its way already."""
        match action:
            case Assign() | Remind():
                assignment = action.assignment
                for target in action.targets:
                    key = target, "assign", assignment.spec.area, assignment.generation
                    self._send(key, lambda client: client.assign(assignment))
            case Release():
                self._send((action.target, "release", action.area, 0), lambda client: client.release(action.area))
            case Switchover():
                self._send((action.target, "switchover", action.area, 0), lambda client: client.switchover())
            case BackUp() if self._keep is not None:
                keep = self._keep
                key = action.target, "backup", action.area, 0
                self._send(key, lambda client: keep(client, action.area), BACKUP_SECONDS)

    def in_vain(self, now: float) -> Iterator[Say]:
        """What fails again and again, at a time of the monotonic clock."""
        for key, failing in list(self._failing.items()):
            if now - failing.at > _FORGOTTEN:  # it is not ordered any more, and its target may be gone for good
                del self._failing[key]
            elif failing.times >= _IN_VAIN and now - failing.at < _ORDER_SECONDS:
                target, what, area = key
                yield Say(area, f"{target} does not do what it is told ({what}): {failing.reason}")

    async def close(self) -> None:
        """Waits for no answer any more."""
        tasks = list(self._busy.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _send(
        self, key: Key, order: Callable[[ProcessClient], Awaitable[object]], seconds: float = _ORDER_SECONDS
    ) -> None:
        client = self._client(key[0])
        if key in self._busy or client is None:
            return
        self._busy[key] = task = asyncio.create_task(self._carry(key, client, order, seconds))
        task.add_done_callback(lambda _task: self._busy.pop(key, None))

    async def _carry(
        self, key: Key, client: ProcessClient, order: Callable[[ProcessClient], Awaitable[object]], seconds: float
    ) -> None:
        target, what, area, _generation = key
        try:
            async with asyncio.timeout(seconds):
                await order(client)
        except (ClientError, BackupError, TimeoutError) as error:
            before = self._failing.get(key[:3])
            times = before.times + 1 if before is not None else 1
            self._failing[key[:3]] = _Failing(times, time.monotonic(), str(error) or "no answer")
            log.info("an order failed", target=target, order=what, area=area, reason=str(error), times=times)
            await asyncio.sleep(min(_AGAIN * 2 ** min(times, 10), _LONGEST_AGAIN))
        else:
            self._failing.pop(key[:3], None)
            await asyncio.sleep(_AGAIN)
