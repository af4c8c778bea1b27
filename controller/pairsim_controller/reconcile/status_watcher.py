"""What every process last said of itself: pushed over a WebSocket each, so that a change is known at once."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

import msgspec
import structlog

from pairsim.client import ClientError, ProcessClient
from pairsim.model.status import ReplicaStatus, WitnessStatus
from pairsim_controller.plan.view import Kind

log = structlog.get_logger()

_RETRY, _LONGEST_RETRY = 0.05, 0.5
"""Seconds between attempts to reach a process that cannot be reached: a hundred that died at once must not take the
time that their areas need."""

STALE = 3.0
"""A status that was not renewed for so long says nothing: statuses come every second."""


class Observer:
    """Follows one process for as long as it is wanted."""

    def __init__(self, name: str, url: str, kind: Kind, token: str, changed: Callable[[], None]) -> None:
        """An address may be another process's by now: nothing is taken from it, and nothing told to it."""
        self.client = ProcessClient(url, replica=name, token=token)
        self._url, self._kind, self._changed = url, kind, changed
        self._status: ReplicaStatus | WitnessStatus | None = None
        self._heard = time.monotonic()
        self._task = asyncio.create_task(self._follow(), name=f"observe-{url}")

    @property
    def status(self) -> ReplicaStatus | WitnessStatus | None:
        """What it last said, if that is recent."""
        return self._status if self.silent < STALE else None

    @property
    def silent(self) -> float:
        """Seconds since it last said anything."""
        return time.monotonic() - self._heard

    async def close(self) -> None:
        """Stops following."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self.client.close()

    async def _follow(self) -> None:
        pause = _RETRY
        while True:
            try:
                if self._kind is Kind.WITNESS:
                    async for witness in self.client.watch_witness():
                        self._take(witness)
                else:
                    async for replica in self.client.watch():
                        self._take(replica)
            except (ClientError, msgspec.MsgspecError, RecursionError, UnicodeError) as error:  # whatever it sends
                log.debug("a process is not followed", url=self._url, reason=str(error))
            if self._status is not None:
                self._status, pause = None, _RETRY
                self._changed()
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_RETRY)

    def _take(self, status: ReplicaStatus | WitnessStatus) -> None:
        self._status, self._heard = status, time.monotonic()
        self._changed()
