"""A queue of keys that need work, as in client-go's `workqueue`.

A key is in the queue once however often it is added. One worker at a time works on a key; a key that is added meanwhile
is worked on again afterwards. A key whose work failed returns after an exponentially growing delay.

Invariants (each is a property test):
    Two workers never work on the same key at a time.
    After the last `add` of a key, work on it begins at least once more.
"""

from __future__ import annotations

import asyncio
import collections
import random
from collections.abc import Awaitable, Callable

import structlog

from pairsim_controller.kube.api.connection import ApiBusyError
from pairsim_controller.kube.api.port import ApiError

log = structlog.get_logger()

_MAX_DOUBLINGS = 30


class WorkQueue:
    """A queue and its workers, in one event loop."""

    def __init__(
        self,
        work: Callable[[str], Awaitable[None]],
        *,
        workers: int,
        retry_seconds: tuple[float, float] = (0.05, 10.0),
        on_failure: Callable[[str, ApiError], None] = lambda _key, _error: None,
    ) -> None:
        """Calls `work` with each key, for `workers` keys at a time.

        Args:
            work: May raise ApiError, and is called again then; any other error ends `run`.
            workers: How many keys are worked on at once.
            retry_seconds: The delay after the first failure of a key, and the longest delay.
            on_failure: Called with the key and the error after each failure.
        """
        self._work, self._workers, self._retry_seconds, self._on_failure = work, workers, retry_seconds, on_failure
        self._ready: collections.deque[str] = collections.deque()
        self._dirty: set[str] = set()
        self._processing: set[str] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._failures: dict[str, int] = {}
        self._available = asyncio.Event()

    def __len__(self) -> int:
        """Returns the number of keys that wait for a worker."""
        return len(self._dirty)

    def add(self, key: str) -> None:
        """Queues a key at once, and cancels its delayed `add_after`."""
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        if key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._processing:
            self._ready.append(key)
            self._available.set()

    def add_after(self, key: str, seconds: float) -> None:
        """Queues a key after a delay; of several delays the one that ends first counts."""
        if key in self._dirty:
            return
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is not None and timer.when() <= loop.time() + seconds:
            return
        if timer is not None:
            timer.cancel()
        self._timers[key] = loop.call_later(seconds, self.add, key)

    async def run(self) -> None:
        """Works until it is cancelled, or until `work` raises another error than ApiError."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._workers):
                    group.create_task(self._run_worker())
        finally:
            for timer in self._timers.values():
                timer.cancel()
            self._timers.clear()

    async def _run_worker(self) -> None:
        while True:
            while not self._ready:
                self._available.clear()
                await self._available.wait()
            key = self._ready.popleft()
            self._dirty.discard(key)
            self._processing.add(key)
            try:
                await self._work(key)
            except ApiError as error:
                self._retry(key, error)
            else:
                self._failures.pop(key, None)
            finally:
                self._processing.discard(key)
                if key in self._dirty:
                    self._ready.append(key)
                    self._available.set()

    def _retry(self, key: str, error: ApiError) -> None:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        first, longest = self._retry_seconds
        delay = min(first * 2 ** min(failures - 1, _MAX_DOUBLINGS), longest)
        delay *= random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries
        if isinstance(error, ApiBusyError):
            delay = max(delay, error.retry_after)
        log.info("work failed, retrying", key=key, reason=str(error), failures=failures, seconds=round(delay, 2))
        self._on_failure(key, error)
        self.add_after(key, delay)
