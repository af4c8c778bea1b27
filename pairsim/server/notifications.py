"""Notifications of a replica, which come from other threads, brought into the event loop.

Coroutines wait here for the next tick or the next change of status, so nothing polls.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator

from pairsim.replication.service import Published


def call_in_loop(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *args: object) -> None:
    """Calls a function in a loop's thread; does nothing if the loop is closed, which may happen at any moment."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(function, *args)


class Signal:
    """A counter that coroutines can wait for. Event loop only.

    The counter makes a wake-up impossible to miss: read the counter, look at the state, then wait for a higher value.

    Attributes:
        count: How often `notify` was called.
        listeners: Functions that `notify` calls, before it wakes the waiting coroutines.
    """

    def __init__(self) -> None:
        self.count = 0
        self.listeners: list[Callable[[], None]] = []
        self._waiters: dict[asyncio.Future[None], None] = {}

    def notify(self) -> None:
        """Increments the counter, calls the listeners, and wakes the waiting coroutines in the order they came."""
        self.count += 1
        for listener in self.listeners:
            listener()
        waiters, self._waiters = self._waiters, {}
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def after(self, seen: int, timeout: float) -> int:  # noqa: ASYNC109 - running out of time is an answer here
        """Waits until the counter is above `seen`, at most `timeout` seconds, and returns the counter."""
        if self.count > seen:
            return self.count
        waiter = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = None
        try:
            async with asyncio.timeout(max(timeout, 0.0)):
                await waiter
        except TimeoutError:
            pass
        finally:  # also when the coroutine is cancelled: a calm area may not notify for days
            self._waiters.pop(waiter, None)
        return self.count


class NotificationHub:
    """The newest published tick of a replica, and signals for its ticks and its changes of status.

    A tick wakes the event loop only while a coroutine awaits ticks: most replicas have no observers, and a passive
    would spend a tenth of its processor time on that.

    Attributes:
        published: The newest published tick; None before the first.
        ticks: Counts ticks that were published while a coroutine awaited them.
        changes: Counts changes of status.
    """

    def __init__(self) -> None:
        """Creates a hub that belongs to the running event loop."""
        self._loop = asyncio.get_running_loop()
        self.published: Published | None = None
        self.ticks = Signal()
        self.changes = Signal()
        self._awaiting = 0

    @property
    def tick(self) -> int:
        """The number of the newest published tick; 0 before the first."""
        return self.published.tick if self.published else 0

    @contextlib.contextmanager
    def awaiting_ticks(self) -> Iterator[None]:
        """Lets every published tick notify `ticks`. A coroutine enters before it looks at what it waits for."""
        self._awaiting += 1
        try:
            yield
        finally:
            self._awaiting -= 1

    def listener(self) -> Callable[[Published | None], None]:
        """Returns the function that the replica calls from its threads."""

        def listen(published: Published | None) -> None:
            changed = published is None
            if published is not None:
                before, self.published = self.published, published
                changed = before is None or before.term != published.term
            if changed or self._awaiting:
                call_in_loop(self._loop, self._on_notification, changed, published is not None)

        return listen

    def _on_notification(self, changed: bool, ticked: bool) -> None:
        if changed:
            self.changes.notify()
        if ticked:
            self.ticks.notify()
