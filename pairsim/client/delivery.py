"""How a client gets a batch committed once, whatever happens to the replicas meanwhile.

Every attempt carries the same ids. A replica that refuses or breaks is followed by the other one at once; one that
says nothing (a stopped process keeps its sockets open) is *hedged*: the other one gets the batch as well, and the
first answer counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from pairsim.client.errors import CommandsRefused, Overloaded, Unavailable
from pairsim.model.commands import Command, Result, Status

_PAUSE_SECONDS = 0.01
_LONGEST_PAUSE = 0.2


class NotSentError(Exception):
    """The attempt did not reach the replica, or it surely did nothing: try another one."""


class UnknownFateError(Exception):
    """The attempt may have been carried out: ask again with the same ids."""


class BusyError(Exception):
    """The replica takes no more at the moment, and did nothing."""


Attempt = Callable[[str, Sequence[Command]], Awaitable[list[Result]]]
"""Sends a batch to the replica at a URL; raises the errors above, or CommandsRefused."""


class Delivery:
    """Delivers batches to a pair. Event loop only.

    Attributes:
        tick: The newest committed tick that the client knows of.
    """

    def __init__(self, urls: Sequence[str], attempt: Attempt, *, hedge: float) -> None:
        """Prefers the first URL until another one answers better; hedges after `hedge` seconds."""
        self.tick = 0
        self._urls = list(urls)
        self._attempt, self._hedge = attempt, hedge

    async def deliver(self, commands: Sequence[Command], seconds: float) -> list[Result]:
        """Results in the order of the commands.

        Raises:
            CommandsRefused, Overloaded: Nothing of the batch was applied.
            Unavailable: Not committed within `seconds`.
        """
        one = _OneBatch(self, commands, self._attempt, self._hedge)
        try:
            url, results = await one.run(list(self._urls), seconds)
        finally:
            one.cancel()
        self._prefer(url)
        if one.attempts > 1:
            results = own_results(results, one.floor)
        self.tick = max(self.tick, max((result.tick for result in results), default=0))
        return results

    def demote(self, url: str) -> None:
        """New batches go to the others first."""
        if len(self._urls) > 1 and self._urls[0] == url:
            self._urls.append(self._urls.pop(0))

    def _prefer(self, url: str) -> None:
        if self._urls[0] != url:
            self._urls.remove(url)
            self._urls.insert(0, url)


class _OneBatch:
    """The attempts of one batch."""

    def __init__(self, delivery: Delivery, commands: Sequence[Command], attempt: Attempt, hedge: float) -> None:
        self.attempts = 0
        self.floor = delivery.tick
        self._delivery, self._commands, self._attempt, self._hedge = delivery, commands, attempt, hedge
        self._unknown = False
        self._running: dict[asyncio.Task[list[Result]], str] = {}
        self._rest_until: dict[str, float] = {}
        self._pause: dict[str, float] = {}
        self._hedge_at = 0.0
        self._last = "none was asked"

    async def run(self, urls: list[str], seconds: float) -> tuple[str, list[Result]]:
        """The URL that answered first, and what."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while (now := loop.time()) < end:
            next_at = self._start_what_is_due(urls, now)
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
        fate = "whether it was applied is not known" if unknown else "nothing of it was applied"
        raise Unavailable(f"the batch was not committed within {seconds:g} s, {fate}: {self._last}", unknown)

    def cancel(self) -> None:
        """Ends the attempts that are not needed any more."""
        for task in self._running:
            task.cancel()

    def _start_what_is_due(self, urls: list[str], now: float) -> float:
        """Starts at most one attempt; returns when the next one may be due."""
        idle = [url for url in urls if url not in self._running.values()]
        if not idle:
            return float("inf")
        url = min(idle, key=lambda u: self._rest_until.get(u, 0.0))
        due = max(self._rest_until.get(url, 0.0), self._hedge_at if self._running else 0.0)
        if due > now:
            return due
        if self._running:
            # It has been silent for long; what comes after this batch should not wait for it as well.
            for silent in self._running.values():
                self._delivery.demote(silent)
        self.attempts += 1
        task = asyncio.ensure_future(self._attempt(url, self._commands))
        task.add_done_callback(_seen)
        self._running[task] = url
        self._hedge_at = now + self._hedge
        return self._hedge_at if len(idle) > 1 else float("inf")

    def _outcome(self, url: str, task: asyncio.Task[list[Result]]) -> list[Result] | None:
        """The results, or None if the attempt failed in a way that another one may not."""
        try:
            return task.result()
        except CommandsRefused:
            raise
        except BusyError as error:
            if not self._unknown and not self._running:
                raise Overloaded(str(error)) from error
            self._last = str(error)
        except UnknownFateError as error:
            self._unknown, self._last = True, str(error)
        except NotSentError as error:
            self._last = str(error)
        self._delivery.demote(url)
        pause = self._pause.get(url, _PAUSE_SECONDS)
        self._pause[url] = min(2 * pause, _LONGEST_PAUSE)
        self._rest_until[url] = asyncio.get_running_loop().time() + pause
        return None


def own_results(results: Sequence[Result], floor: int) -> list[Result]:
    """Results of a batch that was sent more than once, as its sender, who meant it once, should see them.

    A duplicate in a tick after `floor`, a committed tick known when the batch was first sent, is the batch's own
    first run. One that is not after it was run before, and stays a duplicate.
    """
    return [_own(result) if result.status is Status.DUPLICATE and result.tick > floor else result for result in results]


def _own(duplicate: Result) -> Result:
    return msgspec.structs.replace(duplicate, status=Status.REJECTED if duplicate.reason else Status.APPLIED)


def _seen(task: asyncio.Task[list[Result]]) -> None:
    if not task.cancelled():
        task.exception()
