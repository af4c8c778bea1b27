"""The commands that wait for a tick of the active, in a bounded queue of batches.

A batch is a unit: the inbox accepts a whole batch or refuses it, and a tick's record takes whole batches only.
`InFlight` follows a batch from the tick that takes it to its answer.
"""

from __future__ import annotations

import collections
import threading
from collections.abc import Sequence

import msgspec

from pairsim.model.commands import Command
from pairsim.replication.log.records import commands_bytes
from pairsim.replication.service import (
    BatchCallback,
    BatchInterruptedError,
    BatchTooLargeError,
    InboxFullError,
    ReplicaError,
)

MAX_RECORD_COMMANDS = 20_000
"""The most commands that one tick takes from the inbox, unless a single batch is larger."""

MAX_RECORD_BYTES = 3 * 2**20
"""The most bytes of commands in one record; with its rejections, a record must stay below Raft's entry limit."""


def interrupted() -> ReplicaError:
    """Returns the answer to a batch whose outcome this replica does not know."""
    return BatchInterruptedError(
        "this replica ceased to be the active before the commands were committed: send them again, same ids"
    )


class PendingBatch(msgspec.Struct):
    """Commands that arrived together and are answered together.

    Attributes:
        commands: The commands, in the order of their arrival.
        done: The callback that takes the answer; it is called once.
        bytes: The encoded size of the commands.
    """

    commands: Sequence[Command]
    done: BatchCallback
    bytes: int = 0


class Inbox:
    """A queue of batches, bounded by the number of their commands. Any thread puts, the replica thread takes."""

    def __init__(self, limit: int) -> None:
        """Creates an empty inbox for at most `limit` commands."""
        self._limit = limit
        self._lock = threading.Lock()
        self._batches: collections.deque[PendingBatch] = collections.deque()
        self.waiting = 0

    def put(self, commands: Sequence[Command], done: BatchCallback) -> None:
        """Adds a batch as a whole.

        Raises:
            InboxFullError: The batch does not fit now.
            BatchTooLargeError: The batch does not fit into any tick's record.
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
            self._batches.append(PendingBatch(commands, done, size))
            self.waiting += len(commands)

    def take(self, limit: int = MAX_RECORD_COMMANDS) -> list[PendingBatch]:
        """Removes and returns whole batches, oldest first, as many as one record holds.

        The batches have at most `limit` commands and `MAX_RECORD_BYTES` bytes together. A first batch that exceeds
        `limit` alone is returned all the same, since a batch is never split.
        """
        taken: list[PendingBatch] = []
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
        """Answers every waiting batch with `BatchInterruptedError`: this replica is not the active any more."""
        with self._lock:
            lost, self._batches = self._batches, collections.deque()
            self.waiting = 0
        for batch in lost:
            batch.done(interrupted())
