"""The one way of a checked batch into the area, wherever it came in.

On the active it goes into the inbox; on the passive it is relayed to the active; while there is none it is held and
goes in the moment there is one. A batch whose fate is unknown is sent again with the same ids, so nothing is
applied twice.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
from collections.abc import Sequence

import msgspec

from pairsim.model.commands import Command, Result, Status
from pairsim.replication.service import (
    BatchInterruptedError,
    Committed,
    InboxFullError,
    NotActiveError,
    ReplicaError,
    ReplicaPort,
)
from pairsim.server.commands.relay import Relay
from pairsim.server.http.errors import HttpError
from pairsim.server.http.notifications import Hub
from pairsim.server.metrics.registry import Metrics

HOLD_SECONDS = 2.0
"""How long a batch waits for an active."""

ANSWER_SECONDS = 10.0
"""How long a batch waits altogether, its commit included."""

MAX_BATCHES = 4_000
_LOOK_AGAIN = 0.01


class Gateway:
    """See the module. Event loop only."""

    def __init__(
        self, port: ReplicaPort, hub: Hub, metrics: Metrics, *, name: str, token: str, limit: int, hold: float
    ) -> None:
        """Takes up to `limit` commands at once, held ones and those under way together.

        Args:
            port: The replica, called `name`.
            hub: Tells of changes.
            metrics: Counts.
            name: To tell the own leadership from the peer's.
            token: To be taken for the passive by the active.
            limit: In commands.
            hold: Seconds that a batch waits for an active.
        """
        self._port, self._hub, self._metrics, self._name = port, hub, metrics, name
        self._limit, self._hold_seconds = limit, hold
        self._relay = Relay(token)
        self._commands = self._batches = 0
        self._held: collections.deque[asyncio.Future[None]] = collections.deque()
        self._looking: asyncio.TimerHandle | None = None
        hub.changes.listeners.append(self._look)

    async def close(self) -> None:
        """Ends it; what is held is not sent any more."""
        self._hub.changes.listeners.remove(self._look)
        if self._looking is not None:
            self._looking.cancel()
        await self._relay.close()

    async def commit(self, commands: Sequence[Command], *, relayed: bool = False) -> Committed:
        """Has a checked batch committed; `relayed` says that it came from the passive, which does the retrying.

        Raises:
            InboxFullError: There is no room for it.
            NotActiveError, BatchInterruptedError: Of a relayed batch only.
            HttpError: 503; no active in time, or it did not commit in time.
        """
        size = len(commands)
        if self._commands + size > self._limit or self._batches >= MAX_BATCHES:
            self._metrics.refused(size, full=True)
            raise InboxFullError(f"{self._commands:,} commands are under way and {self._limit:,} may: try again soon")
        self._commands += size
        self._batches += 1
        try:
            with self._metrics.answer_seconds.time():
                answer = await (self._submit(commands) if relayed else self._persist(commands))
        except InboxFullError:
            self._metrics.refused(size, full=True)
            raise
        except (HttpError, ReplicaError):
            self._metrics.refused(size, full=False)
            raise
        finally:
            self._commands -= size
            self._batches -= 1
        self._metrics.answered(answer.results)
        return answer

    async def _persist(self, commands: Sequence[Command]) -> Committed:
        now = asyncio.get_running_loop().time
        floor, unknown, held_until = self._hub.tick, False, 0.0
        end = now() + ANSWER_SECONDS
        command_schema = self._port.command_schema()
        while True:
            if self._port.command_schema() is not command_schema:
                raise HttpError(503, "this process was given another area meanwhile: ask another one", unknown=unknown)
            try:
                async with asyncio.timeout_at(end):
                    answer = await self._attempt(commands)
            except NotActiveError:
                pass
            except BatchInterruptedError:
                unknown = True
            except InboxFullError:
                if not unknown:  # else it must not sound as if nothing had been applied
                    raise
            except TimeoutError:
                raise HttpError(503, f"not committed within {ANSWER_SECONDS:g} s", unknown=True) from None
            else:
                return Committed(answer.term, settle(answer.results, floor)) if unknown else answer
            if not held_until:
                held_until = min(now() + self._hold_seconds, end)
                self._metrics.held()
            if not await self._hold(held_until):
                raise HttpError(
                    503, "the area has no active at the moment: try again with the same ids", unknown=unknown
                )

    async def _attempt(self, commands: Sequence[Command]) -> Committed:
        try:
            return await self._submit(commands)
        except NotActiveError as error:
            leader = error.leader
            if leader is None or leader.replica == self._name or self._relay.pausing():
                raise
        self._metrics.relayed(len(commands))
        return await self._relay.send(leader, commands)

    async def _submit(self, commands: Sequence[Command]) -> Committed:
        """Into the own inbox; the answer comes from another thread."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Committed] = loop.create_future()

        def settled(outcome: Committed | ReplicaError) -> None:
            if not future.done():
                if isinstance(outcome, Committed):
                    future.set_result(outcome)
                else:
                    future.set_exception(outcome)

        def done(outcome: Committed | ReplicaError) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(settled, outcome)

        self._port.submit(commands, done)
        return await future

    async def _hold(self, until: float) -> bool:
        """Waits until it may be worth another attempt; False when time is over."""
        held: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._held.append(held)
        self._look_later()
        try:
            async with asyncio.timeout_at(until):
                await held
        except TimeoutError:
            return False
        finally:
            if not held.done() or held.cancelled():
                with contextlib.suppress(ValueError):
                    self._held.remove(held)
        return True

    def _look(self) -> None:
        """Wakes what is held, in its order, when there is an active. On every change, so that no time is lost."""
        leader = self._port.leader()
        if leader is not None:
            if self._relay.leader_is(leader):
                # What was under way there fails in this turn of the loop and is held at its end.
                asyncio.get_running_loop().call_soon(self._look)
            if leader.replica == self._name or self._relay.ready(leader):
                held, self._held = self._held, collections.deque()
                for waiting in held:
                    if not waiting.done():
                        waiting.set_result(None)
            elif self._held:
                self._relay.prepare(leader)
        self._look_later()

    def _look_later(self) -> None:
        """A relay that broke, and a leader that is not ready yet, are not announced by a change."""
        if self._held and self._looking is None:
            self._looking = asyncio.get_running_loop().call_later(_LOOK_AGAIN, self._look_again)

    def _look_again(self) -> None:
        self._looking = None
        self._look()


def settle(results: Sequence[Result], floor: int) -> list[Result]:
    """Results of a batch that was sent more than once, as its sender, who sent it once, should see them.

    A duplicate after `floor`, the newest tick known when the batch came in, is the batch's own first run. One that
    is not after it was run before the batch was sent, and stays a duplicate.
    """
    return [_own(result) if result.status is Status.DUPLICATE and result.tick > floor else result for result in results]


def _own(duplicate: Result) -> Result:
    return msgspec.structs.replace(duplicate, status=Status.REJECTED if duplicate.reason else Status.APPLIED)
