"""Journals for tests, and a storage on which the process dies."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from pairsim.replication.raft.journal import Journal
from pairsim.replication.raft.messages import Entry
from pairsim.replication.raft.storage import MemoryStorage

ME = "north/1/a"
DEADLINE_SECONDS = 10.0
"""How long a test waits for an event that must happen."""


class Crash(BaseException):
    """The process dies."""


class MortalStorage(MemoryStorage):
    """Dies after `left` more bytes: an append may be torn, and a replacement happens completely or not at all."""

    def __init__(self, data: bytes = b"") -> None:
        super().__init__(data)
        self.left: int | None = None

    def append(self, data: bytes) -> None:
        self.data += data[: self._spend(len(data))]
        if self.left == -1:
            raise Crash

    def replace(self, data: bytes) -> None:
        self._spend(len(data))
        if self.left == -1:
            raise Crash
        self.data = bytearray(data)

    def _spend(self, size: int) -> int:
        if self.left is None:
            return size
        if size > self.left:
            may, self.left = self.left, -1
            return may
        self.left -= size
        return size


def opened(storage: MemoryStorage, boot: str = "boot", identity: str = ME) -> Journal:
    return Journal(storage, boot, identity)


def filled(storage: MemoryStorage, entries: int = 4) -> Journal:
    journal = opened(storage)
    journal.promote_to_voter()
    journal.setCurrentTerm(3, "b")
    for index in range(1, entries + 1):
        journal.add(b"command %d" % index, index, 3)
    return journal


Operation = Callable[[Journal], object]
Facts = tuple[list[Entry], int, str | None, bool, bytes | None]


def facts(journal: Journal) -> Facts:
    """Returns everything that a member must not forget; the commit index may be old."""
    snapshot = None if journal.snapshot is None else msgspec.msgpack.encode(journal.snapshot)
    return journal[:], journal.getCurrentTerm(), journal.getVotedForNodeId(), journal.is_voter, snapshot
