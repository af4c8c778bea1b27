"""Brings commands to one area over kept sessions, and stays with the area until it has answered.

Commands of different callers that wait at the same time go as one batch, since each batch costs client and server the
same work however small it is. If such a batch is refused, nothing of it was applied, and each caller's part goes alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from pairsim.client.delivery import Delivery
from pairsim.client.errors import ClientError, CommandsRefused, Unavailable
from pairsim.client.http import HttpClient
from pairsim.client.transports import SessionTransport
from pairsim.model.commands import Command, Result

_HEDGE_SECONDS = 0.15
_LINGER_SECONDS = 0.001
_GRACE_SECONDS = 0.05
"""How much longer a caller waits than the delivery, which knows why the area did not answer."""

_AT_ONCE = 32
"""Batches under way; what comes meanwhile goes together in the next ones."""

_MOST_TOGETHER = 1_000
"""Commands of different callers in one batch."""


class _Part:
    """The commands of one caller."""

    def __init__(self, commands: Sequence[Command], end: float, answer: asyncio.Future[list[Result]]) -> None:
        self.commands, self.end, self.answer = commands, end, answer
        self.sent = False


class Courier:
    """The way to one area. Event loop only."""

    def __init__(self, area: str, urls: Sequence[str]) -> None:
        """Opens nothing yet.

        Args:
            area: The name of the area.
            urls: Bases of the HTTP APIs of its replicas.
        """
        self._area = area
        self._http = HttpClient(area)
        self._transport = SessionTransport(self._http)
        self._delivery = Delivery(urls, self._transport.attempt, hedge=_HEDGE_SECONDS)
        self._waiting: deque[_Part] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def urls(self) -> Sequence[str]:
        """The URLs of the area's replicas."""
        return self._delivery.urls

    @property
    def idle(self) -> bool:
        """Whether no command waits or is under way."""
        return not self._waiting and not self._running

    def update(self, urls: Sequence[str]) -> None:
        """Takes the present URLs of the area's replicas, also for batches that are under way."""
        self._delivery.update(urls)
        self._transport.forget_lost()

    async def send(self, commands: Sequence[Command], end: float) -> list[Result]:
        """Has commands committed in one tick, once, and returns a result per command in their order.

        Args:
            commands: At most 10,000 commands, with different ids.
            end: The deadline on the clock of the event loop.

        Raises:
            CommandsRefused, Overloaded: Nothing of it was applied.
            Unavailable: Not committed before the deadline; `unknown` names what may have been applied.
        """
        loop = asyncio.get_running_loop()
        part = _Part(commands, end, loop.create_future())
        self._waiting.append(part)
        if self._timer is None:
            self._timer = loop.call_later(_LINGER_SECONDS, self._flush)
        try:
            async with asyncio.timeout_at(end + _GRACE_SECONDS):
                return await asyncio.shield(part.answer)
        except TimeoutError:
            unknown = [command.id for command in commands] if part.sent else []
            raise Unavailable(
                f"{self._area} did not answer in time,"
                f" {'it is not known whether the commands were applied' if unknown else 'nothing was sent to it'}",
                unknown,
            ) from None
        finally:
            part.answer.cancel()
            if not part.sent and part in self._waiting:
                self._waiting.remove(part)

    async def close(self) -> None:
        """Closes the sessions; batches that are under way fail."""
        if self._timer is not None:
            self._timer.cancel()
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._transport.close()
        await self._http.close()

    def _flush(self) -> None:
        self._timer = None
        while self._waiting and len(self._running) < _AT_ONCE:
            task = asyncio.ensure_future(self._deliver(self._next_parts()))
            self._running.add(task)
            task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()
        if self._waiting and self._timer is None:
            self._flush()

    def _next_parts(self) -> list[_Part]:
        """Returns the parts of the next batch: in order, and no id twice."""
        parts = [self._waiting.popleft()]
        ids = {command.id for command in parts[0].commands}
        count = len(parts[0].commands)
        while self._waiting and count + len(self._waiting[0].commands) <= _MOST_TOGETHER:
            more = {command.id for command in self._waiting[0].commands}
            if not ids.isdisjoint(more):
                break
            ids |= more
            parts.append(self._waiting.popleft())
            count += len(parts[-1].commands)
        for part in parts:
            part.sent = True
        return parts

    async def _deliver(self, parts: list[_Part]) -> None:
        commands = [command for part in parts for command in part.commands]
        end = max(part.end for part in parts)
        try:
            results = await self._deliver_until(commands, end)
        except CommandsRefused as error:
            if len(parts) == 1:
                _fail(parts[0], error)
                return
            for part in parts:
                await self._deliver([part])
        except asyncio.CancelledError:
            _fail_all(parts, Unavailable("the client was closed", ["all"]))
            raise
        except ClientError as error:
            _fail_all(parts, error)
        else:
            first = 0
            for part in parts:
                if not part.answer.done():
                    part.answer.set_result(results[first : first + len(part.commands)])
                first += len(part.commands)

    async def _deliver_until(self, commands: Sequence[Command], end: float) -> list[Result]:
        left = end - asyncio.get_running_loop().time()
        if left <= 0:
            raise Unavailable(f"nothing was sent to {self._area} before the deadline")
        return await self._delivery.deliver(commands, left)


def _fail_all(parts: Sequence[_Part], error: ClientError) -> None:
    """Fails the parts of a batch, each with its own ids if the outcome is unknown."""
    for part in parts:
        if isinstance(error, Unavailable):
            unknown = [command.id for command in part.commands] if error.unknown else []
            _fail(part, Unavailable(str(error), unknown))
        else:
            _fail(part, error)


def _fail(part: _Part, error: ClientError) -> None:
    if not part.answer.done():
        part.answer.set_exception(error)
