"""The newest status of a process, pushed over a WebSocket, so that a change is known at once."""

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
from pairsim_controller.reconcile.reconnect_pace import ReconnectPace

log = structlog.get_logger()

STALE_AFTER_SECONDS = 3.0
"""A status that is older than this does not count: a process sends one every second."""


class StatusWatcher:
    """Watches the status of one process until it is closed."""

    def __init__(
        self, name: str, url: str, kind: Kind, token: str, on_change: Callable[[], None], pace: ReconnectPace
    ) -> None:
        """Starts to watch; `on_change` is called with each status and when the connection is lost.

        `pace` is shared with the other watchers of this controller.

        The client checks the name of the process: its address may belong to another process by now, whose status must
        not be taken and which must not receive requests.
        """
        self.client = ProcessClient(url, replica=name, token=token)
        self._name, self._url, self._kind, self._on_change, self._pace = name, url, kind, on_change, pace
        self._status: ReplicaStatus | WitnessStatus | None = None
        self._status_at = time.monotonic()
        self._task = asyncio.create_task(self._watch(), name=f"status-watcher-{url}")

    @property
    def status(self) -> ReplicaStatus | WitnessStatus | None:
        """The last status if it is recent, else None."""
        return self._status if self.silent_seconds < STALE_AFTER_SECONDS else None

    @property
    def silent_seconds(self) -> float:
        """Seconds since the last status."""
        return time.monotonic() - self._status_at

    async def close(self) -> None:
        """Stops to watch."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._pace.reached(self._name)
        await self.client.close()

    async def _watch(self) -> None:
        failures = 0
        while True:
            try:
                if self._kind is Kind.WITNESS:
                    async for witness in self.client.watch_witness():
                        self._take(witness)
                else:
                    async for replica in self.client.watch():
                        self._take(replica)
            except (ClientError, msgspec.MsgspecError, RecursionError, UnicodeError) as error:  # any content may come
                log.debug("status watch failed", url=self._url, reason=str(error))
            if self._status is not None:
                self._status, failures = None, 0
                self._on_change()
            failures += 1
            await asyncio.sleep(self._pace.failed(self._name, failures))

    def _take(self, status: ReplicaStatus | WitnessStatus) -> None:
        self._status, self._status_at = status, time.monotonic()
        self._pace.reached(self._name)
        self._on_change()
