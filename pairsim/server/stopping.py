"""How a simulator or witness process stops: its signals, and the handover of an active.

An active that stops alone hands over first, so that its stop is a switchover and not a takeover. That is of no use when
its passive stops as well: a machine that shuts down, for example, sends SIGTERM to all processes of a world at once. So
the active watches the passive for a moment, and goes without a handover if the passive stops, is gone, or the world's
own stop signal arrives.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import signal
import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

import aiohttp
import structlog

from pairsim.model.status import Role
from pairsim.model.stop_signals import HANDOVER, WORLD_SHUTDOWN
from pairsim.replication.service import ReplicaError, ReplicaService, SwitchoverResult
from pairsim.system.inherited_signals import accepted_stop_signals

log = structlog.get_logger()

HANDOVER_SECONDS = 5.0
_WATCH_SECONDS = 0.5
"""How long the active waits for a sign that its passive stops too, before it hands over."""
_POLL_SECONDS, _ANSWER_SECONDS = 0.05, 2.0
"""Seconds between two questions to the passive, and for its answer."""

T = TypeVar("T")


class StopSignals:
    """The stop signals of this process, from now until its event loop is closed.

    Attributes:
        requested: Set by the first signal.
        at_once: Set when the process must not wait for a handover: by the world's stop signal, or by a second signal.
        with_world: Whether the world's stop signal has arrived.
    """

    def __init__(self) -> None:
        self.requested, self.at_once = asyncio.Event(), asyncio.Event()
        self.with_world = False
        for number in accepted_stop_signals((*HANDOVER, WORLD_SHUTDOWN)):
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal, number)

    def _on_signal(self, number: signal.Signals) -> None:
        if number == WORLD_SHUTDOWN:
            self.with_world = True
        if number == WORLD_SHUTDOWN or self.requested.is_set():
            self.at_once.set()
        self.requested.set()


async def hand_over(service: ReplicaService, at_once: asyncio.Event) -> None:
    """Makes the passive the active, if this process is the active and its passive stays; bounded in time.

    A handover that fails is logged and does not keep the process from stopping.

    Args:
        service: The process.
        at_once: Ends the handover when it is set.
    """
    status, passive = service.status(), service.other_replica()
    if status.role is not Role.ACTIVE or passive is None:
        return
    gone: asyncio.Future[bool] = asyncio.ensure_future(_until_it_stops(passive.url))
    hurry: asyncio.Future[bool] = asyncio.ensure_future(at_once.wait())
    handover: asyncio.Future[SwitchoverResult] | None = None
    try:
        ended, _ = await asyncio.wait({gone, hurry}, timeout=_WATCH_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not ended:
            handover = asyncio.wrap_future(_start_thread(lambda: service.switchover(HANDOVER_SECONDS)))
            limit = HANDOVER_SECONDS + 1.0
            parts: tuple[asyncio.Future[bool] | asyncio.Future[SwitchoverResult], ...] = (handover, gone, hurry)
            await asyncio.wait(parts, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        if handover is not None and handover.done():
            done = handover.result()
            log.info("handed over", area=status.area, gap_ms=round(done.gap_ms, 1), term=done.term)
        elif gone.done():
            log.info("stopping without a handover", area=status.area, reason=f"{passive.replica} stops too or is gone")
        elif hurry.done():
            log.info("stopping without a handover", area=status.area, reason="this process has to stop at once")
        else:
            log.warning("handover failed, stopping anyway", area=status.area, reason="it took too long")
    except (ReplicaError, TimeoutError) as error:
        log.warning("handover failed, stopping anyway", area=status.area, reason=str(error))
    finally:
        for task in (gone, hurry, handover):
            if task is not None:
                task.cancel()
        await asyncio.gather(gone, hurry, return_exceptions=True)


async def _until_it_stops(url: str) -> bool:
    """Returns True as soon as the process at a URL cannot become the active: it stops, is gone, or has no state."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_ANSWER_SECONDS)) as http:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            while True:
                async with http.get(f"{url}/readyz") as answer:
                    if answer.status != HTTPStatus.OK:
                        break
                await asyncio.sleep(_POLL_SECONDS)
    return True


def _start_thread(work: Callable[[], T]) -> concurrent.futures.Future[T]:
    """Runs work in a thread that does not keep the process from ending, unlike those of an executor."""
    done: concurrent.futures.Future[T] = concurrent.futures.Future()
    done.set_running_or_notify_cancel()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 - the waiting task raises it
            done.set_exception(error)

    threading.Thread(target=run, name="handover", daemon=True).start()
    return done
