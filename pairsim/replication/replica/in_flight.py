"""The batches of one leadership that a tick has taken and that are not answered yet.

The answer acknowledges the batch. A batch is answered when two events have happened, in either order: its tick's record
is committed, and its tick is computed (only the computation shows which commands are rejected). A command whose id is
known already is not run again: it is answered `duplicate`, as soon as its first run is committed.
"""

from __future__ import annotations

import collections
import threading
from collections.abc import Mapping, Sequence

from pairsim.model.commands import Command, Result, Status
from pairsim.replication.log.command_window import CommandWindow
from pairsim.replication.replica.inbox import PendingBatch, Placement, interrupted
from pairsim.replication.service import Committed


class InFlight:
    """The batches of one leadership whose ticks are under way. Shared by the replica thread and the Raft thread."""

    def __init__(self, window: CommandWindow, tick: int) -> None:
        """Starts a leadership at `tick`, the last tick that was committed before it."""
        self._lock = threading.Lock()
        self._window = window
        self._committed = self._stepped = tick
        self._running: dict[str, tuple[int, int]] = {}
        self._rejected: dict[int, Mapping[int, str]] = {}
        self._ids: dict[int, list[str]] = {}
        self._waiting: collections.deque[tuple[int, PendingBatch]] = collections.deque()

    def admit(self, batches: Sequence[PendingBatch], tick: int) -> list[Command]:
        """Assigns batches to a tick; returns the commands for its record, without those whose ids are known."""
        fresh: list[Command] = []
        with self._lock:
            for batch in batches:
                batch.placements = [self._place(command, tick, fresh) for command in batch.commands]
                # A rejection in a tick of an earlier leadership reaches the window with the commit of the next tick.
                last = max((first + 1 if index < 0 else first for first, index, _ in batch.placements), default=tick)
                self._waiting.append((last, batch))
            self._ids[tick] = [command.id for command in fresh]
        return fresh

    def _place(self, command: Command, tick: int, fresh: list[Command]) -> Placement:
        # In this order: the Raft thread adds an id to the window before it removes the id from `_running`.
        running = self._running.get(command.id)
        if running is not None:
            return *running, True
        known = self._window.get(command.id)
        if known is not None:
            return known.tick, -1, True
        self._running[command.id] = placed = (tick, len(fresh))
        fresh.append(command)
        return *placed, False

    def on_stepped(self, tick: int, rejected: Mapping[int, str], term: int) -> None:
        """Notes that the tick is computed, with its rejections by index; answers the batches that this completes."""
        with self._lock:
            self._rejected[tick] = rejected
            self._stepped = tick
        self._answer(term)

    def on_committed(self, tick: int, term: int) -> None:
        """Notes that the tick's record is committed; answers the batches that this completes."""
        with self._lock:
            self._committed = tick
        self._answer(term)

    def fail_all(self) -> None:
        """Answers all batches with `BatchInterruptedError`: the leadership is over and their outcome is unknown."""
        with self._lock:
            lost, self._waiting = [batch for _tick, batch in self._waiting], collections.deque()
        for batch in lost:
            batch.done(interrupted())

    def _answer(self, term: int) -> None:
        answers: list[tuple[PendingBatch, Committed]] = []
        with self._lock:
            final = min(self._committed, self._stepped)
            while self._waiting and self._waiting[0][0] <= final:
                _tick, batch = self._waiting.popleft()
                answers.append((batch, Committed(term, self._results(batch))))
            for tick in [t for t in self._ids if t <= final - 2]:
                # Two ticks later the rejections are in the window (they travel in the next record).
                for command_id in self._ids.pop(tick):
                    self._running.pop(command_id, None)
                self._rejected.pop(tick, None)
        for batch, answer in answers:
            batch.done(answer)

    def _results(self, batch: PendingBatch) -> list[Result]:
        results = []
        for command, (tick, index, again) in zip(batch.commands, batch.placements, strict=True):
            if index >= 0 and tick in self._rejected:
                reason = self._rejected[tick].get(index, "")
            else:
                known = self._window.get(command.id)
                reason = known.reason if known else ""
            status = Status.DUPLICATE if again else Status.REJECTED if reason else Status.APPLIED
            results.append(Result(id=command.id, status=status, tick=tick, reason=reason))
        return results
