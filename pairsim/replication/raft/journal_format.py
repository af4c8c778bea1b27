"""The content of a journal's file: items, one after the other, that lead from an empty state to the member's state.

Each item is framed so that a reader can tell the end that a crash left from damage that the disk did. Field order and
tags of the items are the file format.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import xxhash

from pairsim.replication.raft.messages import Entry

FORMAT = 2
_LENGTH_BYTES, _HEADER_BYTES = 8, 16
"""A frame begins with the body's length and its check (8 bytes), then the body's checksum (8 bytes)."""

_PIECE_BYTES = 2**20
_EMPTY_BIN, _BIN32 = b"\xc4\x00", b"\xc6"
"""MessagePack's code of an empty byte string, and of a byte string whose length follows in four bytes."""

FIRST_ENTRY: Entry = (b"\1", 1, 0)
"""The entry with which pysyncobj begins every log."""


class StoredSnapshot(msgspec.Struct, frozen=True, array_like=True):
    """The state machine's snapshot after the entry `last`, with the last two entries that it covers."""

    data: bytes
    previous: Entry
    last: Entry


class Head(msgspec.Struct, frozen=True, tag="head", array_like=True):
    """The first item of every file: its format, the machine's boot, the member, and the journal's number."""

    format: int
    boot: str
    identity: str
    incarnation: int = 0


class Add(msgspec.Struct, frozen=True, tag="add", array_like=True):
    """Appends an entry to the log."""

    entry: Entry


class Cut(msgspec.Struct, frozen=True, tag="cut", array_like=True):
    """Cuts the log to its first `length` entries."""

    length: int


class Vote(msgspec.Struct, frozen=True, tag="vote", array_like=True):
    """Sets the term, and the candidate that got this member's vote in it."""

    term: int
    vote: str | None


class Commit(msgspec.Struct, frozen=True, tag="commit", array_like=True):
    """Sets the commit index to what it was when the item was written."""

    index: int


class Promoted(msgspec.Struct, frozen=True, tag="enrolled", array_like=True):
    """Makes the member a voter; `initial_members` are the incarnations of the group's initial members, if known."""

    initial_members: dict[str, int] = {}


class Compacted(msgspec.Struct, frozen=True, tag="snapshot", array_like=True):
    """Replaces all entries by a snapshot and the last two entries that it covers."""

    snapshot: StoredSnapshot


Item = Head | Add | Cut | Vote | Commit | Promoted | Compacted
decode_item = msgspec.msgpack.Decoder(Item).decode
_encode = msgspec.msgpack.Encoder().encode


class JournalState(msgspec.Struct):
    """Everything that a journal remembers, apart from its head.

    Attributes:
        entries: The entries of the log, with consecutive indices.
        term: Raft's current term.
        vote: The candidate that got this member's vote in the term.
        commit: The commit index as last recorded.
        is_voter: Whether the member may vote.
        initial_members: Incarnations of the group's initial members; empty if not known.
        snapshot: The snapshot that the log was compacted to.
    """

    entries: list[Entry] = []
    term: int = 0
    vote: str | None = None
    commit: int = 1
    is_voter: bool = False
    initial_members: dict[str, int] = {}
    snapshot: StoredSnapshot | None = None

    def replay(self, item: Item) -> None:
        """Applies the next item of the file."""
        match item:
            case Head():
                pass
            case Add():
                self.entries.append(item.entry)
            case Cut():
                del self.entries[item.length :]
            case Vote():
                self.term, self.vote = item.term, item.vote
            case Commit():
                self.commit = item.index
            case Promoted():
                self.is_voter, self.initial_members = True, item.initial_members
            case Compacted():
                self.snapshot = item.snapshot
                self.entries = [item.snapshot.previous, item.snapshot.last]

    def items(self) -> list[Item]:
        """Returns the items that lead from an empty state to this one."""
        if self.snapshot is None:
            return self.items_after(0)
        if self.entries[:2] == [self.snapshot.previous, self.snapshot.last]:
            return [Compacted(self.snapshot), *self.items_after(2)]
        return [Compacted(self.snapshot), Cut(0), *self.items_after(0)]

    def items_after(self, place: int) -> list[Item]:
        """Returns the items that lead here from a state with only the snapshot and the entries before that place."""
        items: list[Item] = [Vote(self.term, self.vote), Commit(self.commit)]
        if self.is_voter:
            items.append(Promoted(self.initial_members))
        return [*items, *map(Add, self.entries[place:])]


def frame(item: Item) -> bytes:
    """Returns an item as it stands in the file: length, check of the length, checksum of the body, body.

    The length has a check of its own, because a damaged length must not pass for a torn tail.
    """
    body = _encode(item)
    length = len(body).to_bytes(4, "little")
    return length + xxhash.xxh32_digest(length) + xxhash.xxh3_64_digest(body) + body


def frame_snapshot(snapshot: StoredSnapshot) -> Iterator[bytes | memoryview]:
    """Yields the frame of a `Compacted` item in pieces and without a copy, so that other threads need not wait."""
    before, after = _encode(Compacted(msgspec.structs.replace(snapshot, data=b""))).split(_EMPTY_BIN, maxsplit=1)
    data = memoryview(snapshot.data)
    body: list[bytes | memoryview] = [before + _BIN32 + len(data).to_bytes(4, "big")]
    body += [data[at : at + _PIECE_BYTES] for at in range(0, len(data), _PIECE_BYTES)]
    body.append(after)
    checksum = xxhash.xxh3_64()
    for piece in body:
        checksum.update(piece)
    length = sum(map(len, body)).to_bytes(4, "little")
    yield length + xxhash.xxh32_digest(length) + checksum.digest()
    yield from body


def unframe(data: bytes) -> tuple[list[memoryview], int, bool]:
    """Splits the content of a file into the bodies of its items.

    A crash of the process leaves the beginning of an item. The write of such an item never returned, so nothing in it
    was acknowledged: that is not damage.

    Returns:
        The bodies of the whole items at the beginning, the offset at which they end, and whether what follows is
        damaged.
    """
    bodies: list[memoryview] = []
    at, view = 0, memoryview(data)
    while len(data) - at >= _HEADER_BYTES:
        header = view[at : at + _HEADER_BYTES]
        if xxhash.xxh32_digest(header[:4]) != header[4:_LENGTH_BYTES]:
            return bodies, at, True
        end = at + _HEADER_BYTES + int.from_bytes(header[:4], "little")
        if end > len(data):
            break
        body = view[at + _HEADER_BYTES : end]
        if xxhash.xxh3_64_digest(body) != header[_LENGTH_BYTES:]:
            return bodies, at, True
        bodies.append(body)
        at = end
    return bodies, at, False
