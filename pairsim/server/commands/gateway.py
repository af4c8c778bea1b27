"""Every checked batch, from a request or a session, enters the area through the gateway.

On the active a batch goes into the inbox. On the passive it is relayed to the active. While the area has no active the
batch is held, and sent the moment there is one. A batch with an unknown outcome is sent again with the same ids, so no
command is applied twice.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
from collections.abc import Sequence

from pairsim.model.commands import Command, collapse_retries
from pairsim.replication.service import (
    BatchInterruptedError,
    Committed,
    InboxFullError,
    NotActiveError,
    ReplicaError,
    ReplicaService,
)
from pairsim.server.commands.relay import Relay
from pairsim.server.http.errors import HttpError
from pairsim.server.metrics.registry import ReplicaMetrics
from pairsim.server.notifications import NotificationHub, call_in_loop
from pairsim.wording import duration

HOLD_SECONDS = 2.0
"""How long a batch waits for an active."""

ANSWER_SECONDS = 10.0
"""How long a batch waits altogether, its commit included."""

MAX_BATCHES = 4_000
_POLL_SECONDS = 0.01


class Gateway:
    """Commits batches by way of the own inbox or the relay, and holds them until there is an active.

    Event loop only.
    """

    def __init__(
        self,
        service: ReplicaService,
        hub: NotificationHub,
        metrics: ReplicaMetrics,
        *,
        name: str,
        token: str,
        limit: int,
        hold: float,
    ) -> None:
        """Creates a gateway.

        Args:
            service: The replica.
            hub: Notifies of changes of the replica's status.
            metrics: Counts batches and commands.
            name: The replica's name, to tell the own leadership from the peer's.
            token: The bearer token with which the relay shows the active that it is the passive's.
            limit: How many commands may be held or under way at once.
            hold: Seconds that a batch waits for an active.
        """
        self._service, self._hub, self._metrics, self._name = service, hub, metrics, name
        self._limit, self._hold_seconds = limit, hold
        self._relay = Relay(token)
        self._commands = self._batches = 0
        self._held: collections.deque[asyncio.Future[None]] = collections.deque()
        self._poll: asyncio.TimerHandle | None = None
        self._stuck = False
        self._submitted: set[asyncio.Future[Committed]] = set()
        hub.changes.listeners.append(self._on_change)

    async def close(self) -> None:
        """Stops the gateway; held batches are not sent any more."""
        self._hub.changes.listeners.remove(self._on_change)
        if self._poll is not None:
            self._poll.cancel()
        await self._relay.close()

    async def commit(self, commands: Sequence[Command], *, relayed: bool = False) -> Committed:
        """Has a checked batch committed and returns its results.

        Args:
            commands: The batch.
            relayed: Whether the batch came from the passive, which does the retrying.

        Raises:
            InboxFullError: Too many commands are under way.
            NotActiveError, BatchInterruptedError: Only for a relayed batch.
            HttpError: 503 when no active appeared in time, when the batch was not committed in time, or when the
                simulator of this process does not return from a call.
        """
        size = len(commands)
        if self._stuck and (reason := self._simulator_state()):
            self._metrics.refused(size, full=False)
            raise HttpError(503, f"{reason}: try again with the same ids")
        if self._commands + size > self._limit or self._batches >= MAX_BATCHES:
            self._metrics.refused(size, full=True)
            raise InboxFullError(
                f"{self._commands:,} of at most {self._limit:,} commands are under way: try again soon"
            )
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
        """Tries until the batch is committed or its time is over."""
        now = asyncio.get_running_loop().time
        floor, unknown, held_until = self._hub.tick, False, 0.0
        end = now() + ANSWER_SECONDS
        command_schema = self._service.command_schema()
        while True:
            if self._service.command_schema() is not command_schema:
                raise HttpError(503, "this process was given another area meanwhile: ask another one", unknown=unknown)
            seen = self._hub.changes.count
            try:
                async with asyncio.timeout_at(end):
                    answer = await self._attempt(commands)
            except NotActiveError:
                pass
            except BatchInterruptedError:
                unknown = True
            except InboxFullError:
                if not unknown:  # otherwise the error would say that nothing was applied
                    raise
            except TimeoutError:
                reason = self._simulator_state()
                sentence = f"not committed within {duration(ANSWER_SECONDS)}{reason and f': {reason}'}"
                raise HttpError(503, sentence, unknown=True) from None
            else:
                return Committed(answer.term, collapse_retries(answer.results, floor)) if unknown else answer
            if not held_until:
                held_until = min(now() + self._hold_seconds, end)
                self._metrics.held()
            if not await self._hold(held_until, seen):
                reason = self._simulator_state() or "the area has no active at the moment"
                raise HttpError(503, f"{reason}: try again with the same ids", unknown=unknown)

    def _simulator_state(self) -> str:
        """Returns a sentence about what the simulator of this process does in place of its work; empty if it works."""
        state = self._service.status().simulator
        return f"{self._name} {state.predicate}" if state is not None else ""

    def _on_change(self) -> None:
        state = self._service.status().simulator
        self._stuck = state is not None and state.stands_still
        if self._stuck:
            for future in [future for future in self._submitted if not future.done()]:
                future.set_exception(HttpError(503, self._simulator_state(), unknown=True))
        self._wake_held()

    async def _attempt(self, commands: Sequence[Command]) -> Committed:
        """Submits the batch here, or relays it if another replica is the active."""
        try:
            return await self._submit(commands)
        except NotActiveError as error:
            leader = error.leader
            if leader is None or leader.replica == self._name or self._relay.is_pausing():
                raise
        self._metrics.relayed(len(commands))
        return await self._relay.send(leader, commands)

    async def _submit(self, commands: Sequence[Command]) -> Committed:
        """Puts the batch into the own inbox; the answer comes from another thread."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Committed] = loop.create_future()

        def resolve(outcome: Committed | ReplicaError) -> None:
            if not future.done():
                if isinstance(outcome, Committed):
                    future.set_result(outcome)
                else:
                    future.set_exception(outcome)

        def on_done(outcome: Committed | ReplicaError) -> None:
            call_in_loop(loop, resolve, outcome)

        self._service.submit(commands, on_done)
        self._submitted.add(future)
        try:
            return await future
        finally:
            self._submitted.discard(future)

    async def _hold(self, until: float, seen: int) -> bool:
        """Waits until another attempt may succeed; returns False when the time is over.

        `seen` is the number of changes of status before the last attempt: an active that came meanwhile is announced no
        more.
        """
        held: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._held.append(held)
        if self._hub.changes.count > seen:
            self._wake_held()
        self._schedule_poll()
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

    def _wake_held(self) -> None:
        """Wakes the held batches in their order if there is an active.

        Called on every change of status and again and again while batches are held, so that the first command after a
        takeover loses no time.
        """
        leader = self._service.leader()
        if leader is not None:
            if self._relay.follow_leader(leader):
                # Batches at the former leader fail in this turn of the loop and are held at its end.
                asyncio.get_running_loop().call_soon(self._wake_held)
            if leader.replica == self._name or self._relay.is_ready(leader):
                held, self._held = self._held, collections.deque()
                for waiting in held:
                    if not waiting.done():
                        waiting.set_result(None)
            elif self._held:
                self._relay.prepare(leader)
        self._schedule_poll()

    def _schedule_poll(self) -> None:
        """Polls while batches are held: no change of status announces a broken relay or a leader that gets ready."""
        if self._held and self._poll is None:
            self._poll = asyncio.get_running_loop().call_later(_POLL_SECONDS, self._on_poll)

    def _on_poll(self) -> None:
        self._poll = None
        self._wake_held()
