"""A queue of keys that need work, as client-go has it.

A key is there once however often it is added, one worker has it at a time, what is added meanwhile is worked on again,
and what failed comes back after a growing pause.

Invariants (each is a property test):
    A key is never worked on twice at a time.
    After the last `add` of a key its work begins once more.
"""

from __future__ import annotations

import asyncio
import collections
import random
from collections.abc import Awaitable, Callable

import structlog

from pairsim_controller.kube.api.connection import BusyError
from pairsim_controller.kube.api.port import ApiError

log = structlog.get_logger()


class WorkQueue:
    """See the module. One event loop."""

    def __init__(
        self,
        work: Callable[[str], Awaitable[None]],
        *,
        workers: int,
        pause: tuple[float, float] = (0.05, 10.0),
        failed: Callable[[str, ApiError], None] = lambda _key, _error: None,
    ) -> None:
        """Calls `work` with a key, `workers` at a time.

        Args:
            work: May raise ApiError, and is then called again; any other error ends `run`.
            workers: How many keys are worked on at once.
            pause: Seconds after the first failure of a key, and at most.
            failed: Told of failures.
        """
        self._work, self._workers, self._pause, self._failed = work, workers, pause, failed
        self._ready: collections.deque[str] = collections.deque()
        self._dirty: set[str] = set()
        self._at_work: set[str] = set()
        self._later: dict[str, asyncio.TimerHandle] = {}
        self._failures: dict[str, int] = {}
        self._some = asyncio.Event()

    def __len__(self) -> int:
        """Keys that wait for a worker."""
        return len(self._dirty)

    def add(self, key: str) -> None:
        """See `Agenda`."""
        later = self._later.pop(key, None)
        if later is not None:
            later.cancel()
        if key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._at_work:
            self._ready.append(key)
            self._some.set()

    def add_after(self, key: str, seconds: float) -> None:
        """See `Agenda`; the earliest of several counts."""
        if key in self._dirty:
            return
        loop = asyncio.get_running_loop()
        later = self._later.get(key)
        if later is not None and later.when() <= loop.time() + seconds:
            return
        if later is not None:
            later.cancel()
        self._later[key] = loop.call_later(seconds, self.add, key)

    async def run(self) -> None:
        """Works for ever; ends by cancellation, or by an error that is no ApiError."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._workers):
                    group.create_task(self._worker())
        finally:
            for later in self._later.values():
                later.cancel()
            self._later.clear()

    async def _worker(self) -> None:
        while True:
            while not self._ready:
                self._some.clear()
                await self._some.wait()
            key = self._ready.popleft()
            self._dirty.discard(key)
            self._at_work.add(key)
            try:
                await self._work(key)
            except ApiError as error:
                self._retry(key, error)
            else:
                self._failures.pop(key, None)
            finally:
                self._at_work.discard(key)
                if key in self._dirty:
                    self._ready.append(key)
                    self._some.set()

    def _retry(self, key: str, error: ApiError) -> None:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        first, longest = self._pause
        wait = min(first * 2 ** min(failures - 1, 30), longest) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries
        if isinstance(error, BusyError):
            wait = max(wait, error.retry_after)
        log.info("will be tried again", key=key, reason=str(error), times=failures, seconds=round(wait, 2))
        self._failed(key, error)
        self.add_after(key, wait)
