"""Log compaction and the way of a snapshot to a member that lags behind it.

Takes the place of pysyncobj's serializer, whose method names it therefore has. A snapshot gets into the
journal in one step together with the cut of the log, so that there is no moment at which a crash loses
entries; it travels in chunks inside AppendEntries.

Chunks may be lost on the way, with a link or because the member hears of a later term first. A chunk says what it is
a piece of and where it belongs, and one that does not continue what came before is dropped. The entries that follow
the snapshot do not fit then, the leader hears it, and begins again.
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
_PATIENCE = 4
_NOT_SERIALIZING, _SERIALIZING = 0, 1


class _Outgoing(msgspec.Struct, frozen=True):
    term: int
    index: int
    sent: int


class _Incoming(msgspec.Struct):
    term: int
    index: int
    size: int = 0
    pieces: list[bytes] = []


class Snapshots:
    """Saves, sends and receives snapshots of the state machine."""

    def __init__(
        self,
        journal: Journal,
        draft: Callable[[], Callable[[], bytes]],
        install: Callable[[bytes, Entry, Entry], None],
    ) -> None:
        """`draft` takes a snapshot of what is applied, to be packed by any thread; `install` receives a leader's."""
        self._journal = journal
        self._draft = draft
        self._install = install
        self._outgoing: dict[str, _Outgoing] = {}
        self._incoming: _Incoming | None = None

    # --- compaction

    def due(self, term: int) -> bool:
        """Whether the log should be compacted: it is long, or large.

        While somebody is being sent the snapshot it may become longer, and larger: what follows the snapshot would be
        gone when that one has it, and who is on a slow link would be sent one after the other.
        """
        if self._journal.compacting():
            return False
        snapshot = self._journal.snapshot
        large = max(COMPACT_BYTES, 2 * len(snapshot.data) if snapshot else 0)
        if any(going.term == term for going in self._outgoing.values()):
            return self._journal.bytes > _PATIENCE * large
        return len(self._journal) > COMPACT_ENTRIES or self._journal.bytes > large

    def checkSerializing(self) -> tuple[int, None]:  # noqa: N802 - pysyncobj's name
        """Whether a compaction is under way: then no other begins."""
        return _SERIALIZING if self._journal.compacting() else _NOT_SERIALIZING, None

    def serialize(self, data: tuple[object, Entry, Entry, object], _index: int) -> None:
        """Compacts the log up to the last applied entry."""
        _nothing, last, previous, _cluster = data
        self._journal.compact(self._draft(), previous, last)

    # --- as a leader

    def next_chunk(self, peer: str, term: int) -> Chunk | None:
        """What the peer gets next in this leadership; None when there is no snapshot."""
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
        """The link is gone, and chunks with it: begins again."""
        self._outgoing.pop(peer, None)

    # --- as a follower

    def setTransmissionData(self, chunk: Chunk) -> bool:  # noqa: N802 - pysyncobj's name
        """Takes a chunk; a whole snapshot is installed here, so pysyncobj never has to (hence False)."""
        if chunk.offset == 0:
            self._incoming = _Incoming(chunk.term, chunk.index)
        coming = self._incoming
        if coming is None or (coming.term, coming.index, coming.size) != (chunk.term, chunk.index, chunk.offset):
            return False
        coming.pieces.append(chunk.data)
        coming.size += len(chunk.data)
        if coming.size > MAX_SNAPSHOT_BYTES:
            log.error("a leader's snapshot is larger than any may be", bytes=coming.size, most=MAX_SNAPSHOT_BYTES)
            self.drop_incoming()
        elif chunk.end is not None:
            self.drop_incoming()
            self._install(b"".join(coming.pieces), *chunk.end)
        return False

    def drop_incoming(self) -> None:
        """No more of it comes."""
        self._incoming = None
