"""Log compaction and the way of a snapshot to a member that lags behind it.

Takes the place of pysyncobj's serializer, whose method names it therefore has. A snapshot is written into the
journal in one step together with the cut of the log, so that there is no moment at which a crash loses
entries; it travels in chunks inside AppendEntries.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

import msgspec

from pairsim.replication.journal import Journal
from pairsim.replication.messages import Entry

CHUNK_BYTES = 256 * 1024
MAX_SNAPSHOT_BYTES = 256 * 2**20
_NOT_SERIALIZING = 0

Chunk = tuple[bytes, bool, bool]
"""Data, whether it is the first one, whether all has been sent before it (then the data is empty)."""


class _Transfer(msgspec.Struct, frozen=True, array_like=True):
    data: bytes
    previous: Entry
    last: Entry


class Snapshots:
    """Saves, sends and receives snapshots of the state machine."""

    def __init__(
        self, journal: Journal, take: Callable[[], bytes], install: Callable[[bytes, Entry, Entry], None]
    ) -> None:
        """`take` makes a snapshot of what is applied, `install` receives a leader's."""
        self._journal = journal
        self._take = take
        self._install = install
        self._outgoing: dict[Hashable, tuple[bytes, int]] = {}
        self._incoming: bytearray | None = None

    @property
    def size(self) -> int:
        """Bytes of the newest snapshot."""
        return len(self._journal.snapshot.data) if self._journal.snapshot else 0

    def checkSerializing(self) -> tuple[int, None]:  # noqa: N802 - pysyncobj's name
        """Saving is done at once, never under way."""
        return _NOT_SERIALIZING, None

    def serialize(self, data: tuple[object, Entry, Entry, object], _index: int) -> None:
        """Compacts the log up to the last applied entry."""
        _nothing, last, previous, _cluster = data
        self._journal.save_snapshot(self._take(), previous, last, keep_tail=True)
        self._outgoing.clear()

    def getTransmissionData(self, node: Hashable) -> Chunk | None:  # noqa: N802 - pysyncobj's name
        """The next chunk for a member; None when there is no snapshot."""
        whole, sent = self._outgoing.get(node, (b"", 0))
        if not whole:
            snapshot = self._journal.snapshot
            if snapshot is None:
                return None
            whole = msgspec.msgpack.encode(_Transfer(snapshot.data, snapshot.previous, snapshot.last))
        chunk = whole[sent : sent + CHUNK_BYTES]
        if chunk:
            self._outgoing[node] = whole, sent + len(chunk)
        else:
            del self._outgoing[node]
        return chunk, sent == 0, not chunk

    def setTransmissionData(self, chunk: Chunk | None) -> bool:  # noqa: N802 - pysyncobj's name
        """Takes a chunk; a whole snapshot is installed here, so pysyncobj never has to (hence False)."""
        if chunk is None:
            return False
        data, first, last = chunk
        if first:
            self._incoming = bytearray()
        if self._incoming is None:
            return False
        self._incoming += data
        if len(self._incoming) > MAX_SNAPSHOT_BYTES:
            self._incoming = None
            return False
        if last:
            whole, self._incoming = self._incoming, None
            transfer = msgspec.msgpack.decode(whole, type=_Transfer)
            self._install(transfer.data, transfer.previous, transfer.last)
        return False

    def cancelTransmisstion(self, node: Hashable) -> None:  # noqa: N802 - pysyncobj's name
        """Forgets a transfer under way; the next one starts from the beginning."""
        self._outgoing.pop(node, None)
