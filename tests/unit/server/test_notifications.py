"""Notifications that come from other threads reach every coroutine that waits for them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from pairsim.replication.service import Published
from pairsim.server.notifications import NotificationHub, Signal
from tests.unit.server.http_servers import soon, until


async def test_a_hub_counts_ticks_and_changes_from_other_threads() -> None:
    hub = NotificationHub()
    listen = hub.listener()
    with hub.awaiting_ticks():
        for notice, ticks, changes in (
            (Published(1, 5), 1, 1),
            (Published(1, 6), 2, 1),
            (None, 2, 2),
            (Published(2, 7), 3, 3),
        ):
            threading.Thread(target=listen, args=(notice,)).start()
            await until(lambda t=ticks, c=changes: (hub.ticks.count, hub.changes.count) == (t, c))  # type: ignore[misc]
            assert hub.tick == (7 if ticks == 3 else 4 + ticks)


async def test_a_tick_that_no_coroutine_awaits_is_known_and_does_not_wake_the_loop() -> None:
    hub = NotificationHub()
    listen = hub.listener()
    listen(Published(1, 5))
    listen(Published(1, 6))
    assert (hub.published, hub.ticks.count) == (Published(1, 6), 0)
    listen(None)
    await until(lambda: hub.changes.count == 2)
    assert hub.ticks.count == 1, "a new term is a change and a tick"
    with hub.awaiting_ticks():
        seen = hub.ticks.count
        waiting = asyncio.ensure_future(hub.ticks.after(seen, 1000))
        listen(Published(1, 7))
        assert await soon(waiting) == seen + 1


async def test_a_signal_cannot_be_missed() -> None:
    signal = Signal()
    seen = signal.count
    signal.notify()
    assert await soon(signal.after(seen, 1000)) == seen + 1
    assert await soon(signal.after(seen + 1, 0.001)) == seen + 1
    waiting = asyncio.ensure_future(signal.after(seen + 1, 1000))
    await asyncio.sleep(0)
    signal.notify()
    assert await soon(waiting) == seen + 2
    assert not signal._waiters


async def test_a_coroutine_that_is_cancelled_while_it_waits_leaves_nothing_behind() -> None:
    """Watchers come and go, while an area without changes notifies nobody."""
    signal = Signal()
    waiting = [asyncio.create_task(signal.after(signal.count, 60.0)) for _ in range(3)]
    await until(lambda: len(signal._waiters) == 3)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert await signal.after(signal.count, 0.0) == 0
    assert not signal._waiters


def test_a_notification_after_the_end_of_the_loop_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    async def listener() -> Callable[[Published | None], None]:
        return NotificationHub().listener()

    loop = asyncio.new_event_loop()
    listen = loop.run_until_complete(listener())
    loop.close()
    with monkeypatch.context() as patched:
        patched.setattr(loop, "is_closed", lambda: False)  # as another thread saw it a moment ago
        listen(Published(1, 5))
        listen(None)
