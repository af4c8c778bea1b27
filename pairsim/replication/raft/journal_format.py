"""What a journal's file holds: items, one after the other, that bring an empty state to where the member is.

Each is framed so that a reader can tell what a crash left from what a disk damaged.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import xxhash

from pairsim.replication.raft.messages import Entry

FORMAT = 1
_LENGTH, _FRAME = 8, 16
_PIECE = 2**20
_NO_BYTES, _BYTES = b"\xc4\x00", b"\xc6"
"""MessagePack's for an empty byte string, and for one whose length follows in four bytes."""

FIRST: Entry = (b"\1", 1, 0)


class Snapshot(msgspec.Struct, frozen=True, array_like=True):
    """The state machine after `last`, with the last two entries that it covers."""

    data: bytes
    previous: Entry
    last: Entry


class Head(msgspec.Struct, frozen=True, tag="head", array_like=True):
    """Begins every file."""

    format: int
    boot: str
    identity: str
    incarnation: int = 0


class Add(msgspec.Struct, frozen=True, tag="add", array_like=True):
    """An entry after the last one."""

    entry: Entry


class Cut(msgspec.Struct, frozen=True, tag="cut", array_like=True):
    """Only so many entries, from the first on, are left."""

    length: int


class Vote(msgspec.Struct, frozen=True, tag="vote", array_like=True):
    """Term and vote."""

    term: int
    vote: str | None


class Commit(msgspec.Struct, frozen=True, tag="commit", array_like=True):
    """What was committed at that time."""

    index: int


class Enrolled(msgspec.Struct, frozen=True, tag="enrolled", array_like=True):
    """The member votes from here on."""

    founders: dict[str, int] = {}


class Compacted(msgspec.Struct, frozen=True, tag="snapshot", array_like=True):
    """A snapshot in place of all entries; the last two that it covers are left."""

    snapshot: Snapshot


Item = Head | Add | Cut | Vote | Commit | Enrolled | Compacted
decode_item = msgspec.msgpack.Decoder(Item).decode
_encode = msgspec.msgpack.Encoder().encode


class State(msgspec.Struct):
    """All that a journal remembers."""

    entries: list[Entry] = []
    term: int = 0
    vote: str | None = None
    commit: int = 1
    enrolled: bool = False
    founders: dict[str, int] = {}
    snapshot: Snapshot | None = None

    def replay(self, item: Item) -> None:
        """Takes in the next item of the file."""
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
            case Enrolled():
                self.enrolled, self.founders = True, item.founders
            case Compacted():
                self.snapshot = item.snapshot
                self.entries = [item.snapshot.previous, item.snapshot.last]

    def items(self) -> list[Item]:
        """What brings an empty state here."""
        if self.snapshot is None:
            return self.items_after(0)
        if self.entries[:2] == [self.snapshot.previous, self.snapshot.last]:
            return [Compacted(self.snapshot), *self.items_after(2)]
        return [Compacted(self.snapshot), Cut(0), *self.items_after(0)]

    def items_after(self, place: int) -> list[Item]:
        """What brings a state here that has the snapshot and the entries before that place, and nothing else."""
        items: list[Item] = [Vote(self.term, self.vote), Commit(self.commit)]
        if self.enrolled:
            items.append(Enrolled(self.founders))
        return [*items, *map(Add, self.entries[place:])]


def frame(item: Item) -> bytes:
    """Length, a check of the length alone (a damaged one must not pass for a torn tail), checksum, body."""
    body = _encode(item)
    length = len(body).to_bytes(4, "little")
    return length + xxhash.xxh32_digest(length) + xxhash.xxh3_64_digest(body) + body


def frame_snapshot(snapshot: Snapshot) -> Iterator[bytes | memoryview]:
    """The frame of a `Compacted`, in pieces and without a copy: a large one must not keep other threads waiting."""
    before, after = _encode(Compacted(msgspec.structs.replace(snapshot, data=b""))).split(_NO_BYTES, maxsplit=1)
    data = memoryview(snapshot.data)
    body: list[bytes | memoryview] = [before + _BYTES + len(data).to_bytes(4, "big")]
    body += [data[at : at + _PIECE] for at in range(0, len(data), _PIECE)]
    body.append(after)
    checksum = xxhash.xxh3_64()
    for piece in body:
        checksum.update(piece)
    length = sum(map(len, body)).to_bytes(4, "little")
    yield length + xxhash.xxh32_digest(length) + checksum.digest()
    yield from body


def unframe(data: bytes) -> tuple[list[memoryview], int, bool]:
    """Bodies of the whole records at the beginning, where they end, and whether what follows is damage.

    What a crash of the process leaves is the beginning of a record. Its write never returned, so nobody was told:
    that is no damage.
    """
    bodies: list[memoryview] = []
    at, view = 0, memoryview(data)
    while len(data) - at >= _FRAME:
        head = view[at : at + _FRAME]
        if xxhash.xxh32_digest(head[:4]) != head[4:_LENGTH]:
            return bodies, at, True
        end = at + _FRAME + int.from_bytes(head[:4], "little")
        if end > len(data):
            break
        body = view[at + _FRAME : end]
        if xxhash.xxh3_64_digest(body) != head[_LENGTH:]:
            return bodies, at, True
        bodies.append(body)
        at = end
    return bodies, at, False
