"""How a client gets a batch committed once, whatever happens to the replicas meanwhile.

Every attempt carries the same ids. After a replica refused, or its connection broke, the other replica is tried at
once. When a replica is silent (a stopped process keeps its sockets open), the batch is *hedged*: the other replica gets
the batch as well, and the first answer counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from pairsim.client.errors import CommandsRefused, Overloaded, Unavailable
from pairsim.model.commands import Command, Result, collapse_retries
from pairsim.wording import duration

_PAUSE_SECONDS = 0.01
_MAX_PAUSE_SECONDS = 0.2
_LOOK_SECONDS = 0.25
"""How often a batch that waits looks for other URLs of the replicas."""


class NotSentError(Exception):
    """The attempt did not reach the replica, or surely had no effect: try another replica."""


class MisdirectedError(NotSentError):
    """The process has another area or none, so its answer says nothing about this area."""


class UnknownOutcomeError(Exception):
    """The attempt may have taken effect: ask again with the same ids."""


class BusyError(Exception):
    """The replica takes no more at the moment, and the attempt had no effect."""


Attempt = Callable[[str, Sequence[Command]], Awaitable[list[Result]]]
"""Sends a batch to the replica at a URL and returns a result per command, in their order.

Raises the errors above, or `CommandsRefused`.
"""


class Delivery:
    """Delivers batches to a pair, to the replica first that answered last. Event loop only.

    Attributes:
        tick: The newest committed tick that the client knows of.
    """

    def __init__(self, urls: Sequence[str], attempt: Attempt, *, hedge: float) -> None:
        """Creates a delivery that prefers the first URL.

        Args:
            urls: Bases of the HTTP APIs of the pair's replicas.
            attempt: Sends a batch to one of them.
            hedge: Seconds without an answer after which a batch is sent to another replica as well.
        """
        self.tick = 0
        self._urls = list(urls)
        self._attempt, self._hedge = attempt, hedge

    async def deliver(self, commands: Sequence[Command], seconds: float) -> list[Result]:
        """Has a batch committed and returns a result per command, in their order.

        Raises:
            CommandsRefused, Overloaded: Nothing of the batch was applied.
            Unavailable: Not committed within `seconds`.
        """
        batch = BatchAttempt(self, commands, self._attempt, self._hedge)
        try:
            url, results = await batch.run(seconds)
        finally:
            batch.cancel()
        self._prefer(url)
        if batch.attempts > 1:
            results = collapse_retries(results, batch.floor)
        self.tick = max(self.tick, max((result.tick for result in results), default=0))
        return results

    @property
    def urls(self) -> Sequence[str]:
        """Bases of the HTTP APIs of the pair's replicas, in the order in which they are tried."""
        return tuple(self._urls)

    def update(self, urls: Sequence[str]) -> None:
        """Takes the present URLs of the replicas, also for batches that are under way."""
        kept = [url for url in self._urls if url in urls]
        self._urls = kept + [url for url in urls if url not in kept]

    def deprioritise(self, url: str) -> None:
        """Makes new batches try the other replicas first."""
        if len(self._urls) > 1 and self._urls[0] == url:
            self._urls.append(self._urls.pop(0))

    def _prefer(self, url: str) -> None:
        if url in self._urls and self._urls[0] != url:
            self._urls.remove(url)
            self._urls.insert(0, url)


class BatchAttempt:
    """All attempts to get one batch committed.

    Attributes:
        attempts: How many were started.
        floor: The newest committed tick that was known when the batch was first sent.
    """

    def __init__(self, delivery: Delivery, commands: Sequence[Command], attempt: Attempt, hedge: float) -> None:
        self.attempts = 0
        self.floor = delivery.tick
        self._delivery, self._commands, self._attempt, self._hedge = delivery, commands, attempt, hedge
        self._unknown = False
        self._running: dict[asyncio.Task[list[Result]], str] = {}
        self._retry_at: dict[str, float] = {}
        self._pause: dict[str, float] = {}
        self._hedge_at = 0.0
        self._last = self._misdirected = ""

    async def run(self, seconds: float) -> tuple[str, list[Result]]:
        """Returns the URL that answered first, and its results.

        Raises:
            CommandsRefused, Overloaded, Unavailable: As for `Delivery.deliver`.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while (now := loop.time()) < end:
            next_at = min(self._start_due_attempt(self._delivery.urls, now), now + _LOOK_SECONDS)
            if self._running:
                done, _ = await asyncio.wait(
                    self._running, timeout=min(end, next_at) - now, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    url = self._running.pop(task)
                    if (results := self._outcome(url, task)) is not None:
                        return url, results
            else:
                await asyncio.sleep(max(min(end, next_at) - now, 0.0))
        unknown = [c.id for c in self._commands] if self._unknown or self._running else []
        outcome = "it is not known whether it was applied" if unknown else "nothing of it was applied"
        silent = f"no answer came from {' and '.join(sorted(self._running.values()))}" if self._running else ""
        reason = self._last or silent or self._misdirected or "no replica was asked"
        raise Unavailable(f"the batch was not committed within {duration(seconds)}, {outcome}: {reason}", unknown)

    def cancel(self) -> None:
        """Cancels the attempts that are still running."""
        for task in self._running:
            task.cancel()

    def _start_due_attempt(self, urls: Sequence[str], now: float) -> float:
        """Starts at most one attempt; returns when the next attempt may be due."""
        idle = [url for url in urls if url not in self._running.values()]
        if not idle:
            return float("inf")
        url = min(idle, key=lambda u: self._retry_at.get(u, 0.0))
        due = max(self._retry_at.get(url, 0.0), self._hedge_at if self._running else 0.0)
        if due > now:
            return due
        if self._running:
            # These replicas have been silent for long; the batches after this one should not wait for them as well.
            for silent in self._running.values():
                self._delivery.deprioritise(silent)
        self.attempts += 1
        task = asyncio.ensure_future(self._attempt(url, self._commands))
        task.add_done_callback(_retrieve_exception)
        self._running[task] = url
        self._hedge_at = now + self._hedge
        return self._hedge_at if len(idle) > 1 else float("inf")

    def _outcome(self, url: str, task: asyncio.Task[list[Result]]) -> list[Result] | None:
        """Returns the results; None if the attempt failed and another one may succeed."""
        try:
            return task.result()
        except CommandsRefused:
            raise
        except BusyError as error:
            if not self._unknown and not self._running:
                raise Overloaded(str(error)) from error
            self._last = str(error)
        except UnknownOutcomeError as error:
            self._unknown, self._last = True, str(error)
        except MisdirectedError as error:
            self._misdirected = str(error)
        except NotSentError as error:
            self._last = str(error)
        self._delivery.deprioritise(url)
        pause = self._pause.get(url, _PAUSE_SECONDS)
        self._pause[url] = min(2 * pause, _MAX_PAUSE_SECONDS)
        self._retry_at[url] = asyncio.get_running_loop().time() + pause
        return None


def _retrieve_exception(task: asyncio.Task[list[Result]]) -> None:
    if not task.cancelled():
        task.exception()
