"""Log compaction, and the transfer of a snapshot to a member that lags behind it.

This module replaces pysyncobj's serializer, so a part of its methods has pysyncobj's names. A snapshot gets into the
journal in one step together with the cut of the log, so that a crash cannot lose entries at any moment; it travels in
chunks inside AppendEntries.

Chunks may be lost on the way: with a link, or because the member hears of a later term first. A chunk says which
snapshot it is a piece of and at which offset it belongs, and a chunk that does not continue the chunks before it is
dropped. The entries that follow the snapshot do not fit then, the leader learns it from the refusal, and starts again.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import structlog

from pairsim.replication.raft.journal import Journal
from pairsim.replication.raft.messages import Chunk, Entry

log = structlog.get_logger()

CHUNK_BYTES = 256 * 1024
MAX_SNAPSHOT_BYTES = 256 * 2**20
COMPACT_ENTRIES = 2_000
COMPACT_BYTES = 32 * 2**20
_SENDING_FACTOR = 4
"""While the snapshot is being sent, the journal may become so many times larger before it is compacted."""

_NOT_SERIALIZING, _SERIALIZING = 0, 1


class _Outgoing(msgspec.Struct, frozen=True):
    """How many bytes of the snapshot up to `index` a peer was sent in the leadership of `term`."""

    term: int
    index: int
    sent: int


class _Incoming(msgspec.Struct):
    """The chunks so far of the snapshot up to `index` from the leader of `term`."""

    term: int
    index: int
    size: int = 0
    pieces: list[bytes] = []


class Snapshots:
    """Saves, sends and receives snapshots of the state machine for one member."""

    def __init__(
        self,
        journal: Journal,
        begin_snapshot: Callable[[], Callable[[], bytes]],
        install: Callable[[bytes, Entry, Entry], None],
    ) -> None:
        """Works on a journal.

        Args:
            journal: The member's journal, which holds the snapshot.
            begin_snapshot: Captures the applied state and returns a function that packs it in any thread.
            install: Receives a leader's snapshot that is complete, with the last two entries that it covers.
        """
        self._journal = journal
        self._begin_snapshot = begin_snapshot
        self._install = install
        self._outgoing: dict[str, _Outgoing] = {}
        self._incoming: _Incoming | None = None

    # --- compaction

    def compaction_due(self, term: int) -> bool:
        """Returns whether the log should be compacted: it has many entries, or many bytes.

        While a peer is being sent the snapshot, the log may become longer and larger. Otherwise the entries that
        follow the snapshot would be gone when the peer has it, and a peer on a slow link would be sent one snapshot
        after the other.
        """
        if self._journal.compacting():
            return False
        snapshot = self._journal.snapshot
        large = max(COMPACT_BYTES, 2 * len(snapshot.data) if snapshot else 0)
        if any(going.term == term for going in self._outgoing.values()):
            return self._journal.bytes > _SENDING_FACTOR * large
        return len(self._journal) > COMPACT_ENTRIES or self._journal.bytes > large

    def checkSerializing(self) -> tuple[int, None]:  # noqa: N802 - pysyncobj's name
        """Returns whether a compaction is running; pysyncobj starts no other one then."""
        return _SERIALIZING if self._journal.compacting() else _NOT_SERIALIZING, None

    def serialize(self, data: tuple[object, Entry, Entry, object], _index: int) -> None:
        """Compacts the log up to the last applied entry."""
        _nothing, last, previous, _cluster = data
        self._journal.compact(self._begin_snapshot(), previous, last)

    # --- as a leader

    def next_chunk(self, peer: str, term: int) -> Chunk | None:
        """Returns the chunk that the peer gets next in this leadership; None before the first snapshot."""
        snapshot = self._journal.snapshot
        if snapshot is None:
            return None
        index = snapshot.last[1]
        going = self._outgoing.pop(peer, None)
        sent = going.sent if going and (going.term, going.index) == (term, index) else 0
        data = snapshot.data[sent : sent + CHUNK_BYTES]
        if sent + len(data) == len(snapshot.data):
            return Chunk(term, index, sent, data, (snapshot.previous, snapshot.last))
        self._outgoing[peer] = _Outgoing(term, index, sent + len(data))
        return Chunk(term, index, sent, data, None)

    def cancel(self, peer: str) -> None:
        """Forgets what was sent to a peer whose link is lost: chunks may be lost with it, so the transfer restarts."""
        self._outgoing.pop(peer, None)

    # --- as a follower

    @property
    def received_bytes(self) -> int:
        """How much of a leader's snapshot has come; 0 if none is under way."""
        coming = self._incoming
        return coming.size if coming is not None else 0

    def setTransmissionData(self, chunk: Chunk) -> bool:  # noqa: N802 - pysyncobj's name
        """Receives a chunk and installs a complete snapshot; returns False, so that pysyncobj never installs one."""
        if chunk.offset == 0:
            self._incoming = _Incoming(chunk.term, chunk.index)
        coming = self._incoming
        if coming is None or (coming.term, coming.index, coming.size) != (chunk.term, chunk.index, chunk.offset):
            return False
        coming.pieces.append(chunk.data)
        coming.size += len(chunk.data)
        if coming.size > MAX_SNAPSHOT_BYTES:
            log.error("snapshot of the leader too large", bytes=coming.size, most=MAX_SNAPSHOT_BYTES)
            self.drop_incoming()
        elif chunk.end is not None:
            self.drop_incoming()
            self._install(b"".join(coming.pieces), *chunk.end)
        return False

    def drop_incoming(self) -> None:
        """Forgets the chunks received so far, because no more chunks of that snapshot come."""
        self._incoming = None
