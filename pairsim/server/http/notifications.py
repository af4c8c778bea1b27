"""Brings a port's notices, which come from other threads, into the event loop.

Whoever waits for a tick or for a change of status waits here, so nothing polls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pairsim.replication.service import Published


class Signal:
    """A counter that can be waited for. Event loop only.

    The counter makes a wake-up impossible to miss: read it, look at the world, then wait for a higher value.
    """

    def __init__(self) -> None:
        self.count = 0
        self.listeners: list[Callable[[], None]] = []
        self._waiters: list[asyncio.Future[None]] = []

    def notify(self) -> None:
        """Counts on, tells the listeners, and wakes all that wait, in the order in which they came."""
        self.count += 1
        for listener in self.listeners:
            listener()
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def after(self, seen: int, timeout: float) -> int:  # noqa: ASYNC109 - running out of time is an answer here
        """Waits until the counter is above `seen`, at most `timeout` seconds; returns the counter."""
        if self.count > seen:
            return self.count
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(max(timeout, 0.0)):
                await waiter
        except TimeoutError:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
        return self.count


class Hub:
    """The newest published tick, and signals for ticks and changes of status."""

    def __init__(self) -> None:
        """Belongs to the running event loop."""
        self._loop = asyncio.get_running_loop()
        self.published: Published | None = None
        self.ticks = Signal()
        self.changes = Signal()

    @property
    def tick(self) -> int:
        """The newest published tick; 0 before the first."""
        return self.published.tick if self.published else 0

    def listener(self) -> Callable[[Published | None], None]:
        """What the port calls from its threads."""

        def listen(published: Published | None) -> None:
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._arrive, published)

        return listen

    def _arrive(self, published: Published | None) -> None:
        if published is None:
            self.changes.notify()
            return
        before, self.published = self.published, published
        if before is None or before.term != published.term:
            self.changes.notify()
        self.ticks.notify()
