"""From a command's arrival at the active to its acknowledgement.

A batch waits in the bounded inbox for a tick, goes into that tick's record as a whole, and is answered when two
things are true, in whatever order they come: the record is committed, and the tick is computed (only then is it
known what was rejected). A command whose id is known already is not run again: it is answered `duplicate`, as
soon as its first run is committed.
"""

from __future__ import annotations

import collections
import threading
from collections.abc import Mapping, Sequence

import msgspec

from pairsim.model.commands import Command, Result, Status
from pairsim.replication.log.command_window import CommandWindow
from pairsim.replication.log.records import commands_bytes
from pairsim.replication.service import (
    BatchCallback,
    BatchInterruptedError,
    BatchTooLargeError,
    Committed,
    InboxFullError,
    ReplicaError,
)

MAX_RECORD_COMMANDS = 20_000
MAX_RECORD_BYTES = 3 * 2**20
"""Of a record's commands; with its rejections it must stay below what Raft takes at once."""


def _interrupted() -> ReplicaError:
    return BatchInterruptedError(
        "this replica ceased to be the active before the commands were committed: send them again, same ids"
    )


class Batch(msgspec.Struct):
    """Commands that arrived together and are answered together."""

    commands: Sequence[Command]
    done: BatchCallback
    bytes: int = 0
    fates: list[tuple[int, int, bool]] = []
    """Per command: tick, place in that tick's record (-1: look into the window), whether it is a duplicate."""


class Inbox:
    """Batches that wait for a tick; bounded by commands. Any thread puts, the replica thread takes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._batches: collections.deque[Batch] = collections.deque()
        self.waiting = 0

    def put(self, commands: Sequence[Command], done: BatchCallback) -> None:
        """Adds a batch as a whole.

        Raises:
            InboxFullError: It does not fit.
            BatchTooLargeError: It would never fit into one tick.
        """
        size = commands_bytes(commands)
        if size > MAX_RECORD_BYTES:
            raise BatchTooLargeError(
                f"the batch takes {size:,} bytes of one tick's record and {MAX_RECORD_BYTES:,} may: send it in parts"
            )
        with self._lock:
            if self.waiting + len(commands) > self._limit:
                raise InboxFullError(
                    f"{self.waiting} commands wait for a tick and {self._limit} may: try again in a moment"
                )
            self._batches.append(Batch(commands, done, size))
            self.waiting += len(commands)

    def take(self, limit: int = MAX_RECORD_COMMANDS) -> list[Batch]:
        """Whole batches, oldest first, up to `limit` commands (but at least one batch) and what a record holds."""
        taken: list[Batch] = []
        with self._lock:
            count = size = 0
            while self._batches and (
                not taken
                or (
                    count + len(self._batches[0].commands) <= limit
                    and size + self._batches[0].bytes <= MAX_RECORD_BYTES
                )
            ):
                batch = self._batches.popleft()
                count += len(batch.commands)
                size += batch.bytes
                taken.append(batch)
            self.waiting -= count
        return taken

    def interrupt(self) -> None:
        """Answers everything that waits: there is no active here to run it."""
        with self._lock:
            lost, self._batches = self._batches, collections.deque()
            self.waiting = 0
        for batch in lost:
            batch.done(_interrupted())


class Ledger:
    """Batches whose ticks are under way. Shared by the replica thread and the Raft thread."""

    def __init__(self, window: CommandWindow, tick: int) -> None:
        """Starts a leadership at `tick`, the last one committed before it."""
        self._lock = threading.Lock()
        self._window = window
        self._committed = self._stepped = tick
        self._running: dict[str, tuple[int, int]] = {}
        self._rejected: dict[int, Mapping[int, str]] = {}
        self._ids: dict[int, list[str]] = {}
        self._waiting: collections.deque[tuple[int, Batch]] = collections.deque()

    def admit(self, batches: Sequence[Batch], tick: int) -> list[Command]:
        """Assigns batches to a tick; returns the commands that have not been seen before, for its record."""
        fresh: list[Command] = []
        with self._lock:
            for batch in batches:
                batch.fates = [self._fate(command, tick, fresh) for command in batch.commands]
                # What was rejected in a tick of an earlier leadership is in the window when the next one is committed.
                last = max((first + 1 if place < 0 else first for first, place, _ in batch.fates), default=tick)
                self._waiting.append((last, batch))
            self._ids[tick] = [command.id for command in fresh]
        return fresh

    def _fate(self, command: Command, tick: int, fresh: list[Command]) -> tuple[int, int, bool]:
        # In this order: the Raft thread adds an id to the window before it leaves `_running`.
        running = self._running.get(command.id)
        if running is not None:
            return *running, True
        known = self._window.get(command.id)
        if known is not None:
            return known.tick, -1, True
        self._running[command.id] = fate = (tick, len(fresh))
        fresh.append(command)
        return *fate, False

    def stepped(self, tick: int, rejected: Mapping[int, str], term: int) -> None:
        """The tick is computed."""
        with self._lock:
            self._rejected[tick] = rejected
            self._stepped = tick
        self._answer(term)

    def committed(self, tick: int, term: int) -> None:
        """The tick's record is committed."""
        with self._lock:
            self._committed = tick
        self._answer(term)

    def rejected(self, tick: int) -> Mapping[int, str]:
        """What was rejected in a tick of this leadership that is recent."""
        with self._lock:
            return self._rejected.get(tick, {})

    def abandon(self) -> None:
        """The leadership is over: nobody here knows what becomes of the batches under way."""
        with self._lock:
            lost, self._waiting = [batch for _tick, batch in self._waiting], collections.deque()
        for batch in lost:
            batch.done(_interrupted())

    def _answer(self, term: int) -> None:
        answers: list[tuple[Batch, Committed]] = []
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

    def _results(self, batch: Batch) -> list[Result]:
        results = []
        for command, (tick, place, again) in zip(batch.commands, batch.fates, strict=True):
            if place >= 0 and tick in self._rejected:
                reason = self._rejected[tick].get(place, "")
            else:
                known = self._window.get(command.id)
                reason = known.reason if known else ""
            status = Status.DUPLICATE if again else Status.REJECTED if reason else Status.APPLIED
            results.append(Result(id=command.id, status=status, tick=tick, reason=reason))
        return results
