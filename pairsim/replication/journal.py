"""A Raft member's memory on disk: entries, term and vote, and the snapshot that the log was compacted to.

Takes the place of pysyncobj's journal, whose method names it therefore has, and differs where that one loses
data: records are checksummed and appended by one write each, a torn tail is cut at the next start, and
whatever replaces content (compaction, a snapshot) writes a new file and renames it over the old one.

Nothing is synced to the platter: a crash of the process loses nothing, a crash of the machine may. So the journal
carries the machine's boot id, and one of another boot counts as lost (`enrolled` is False): its member holds what
it says but does not vote until it has caught up. The same goes for a journal that is damaged.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Mapping
from pathlib import Path
from typing import overload

import msgspec
import structlog
import xxhash

from pairsim.replication.messages import Entry
from pairsim.replication.storage import FileStorage, JournalError, JournalFullError, MemoryStorage, Storage

__all__ = ["FileStorage", "Journal", "JournalError", "JournalFullError", "MemoryStorage", "Snapshot", "boot_id"]

log = structlog.get_logger()

FORMAT = 1
_LENGTH, _FRAME = 8, 16
_FIRST: Entry = (b"\1", 1, 0)


class Snapshot(msgspec.Struct, frozen=True, array_like=True):
    """The state machine after `last`, with the last two entries that it covers."""

    data: bytes
    previous: Entry
    last: Entry


class _Head(msgspec.Struct, frozen=True, tag="head", array_like=True):
    format: int
    boot: str
    identity: str
    incarnation: int = 0


class _Add(msgspec.Struct, frozen=True, tag="add", array_like=True):
    entry: Entry


class _Cut(msgspec.Struct, frozen=True, tag="cut", array_like=True):
    length: int


class _Vote(msgspec.Struct, frozen=True, tag="vote", array_like=True):
    term: int
    vote: str | None


class _Commit(msgspec.Struct, frozen=True, tag="commit", array_like=True):
    index: int


class _Enrolled(msgspec.Struct, frozen=True, tag="enrolled", array_like=True):
    founders: dict[str, int] = {}


class _Compacted(msgspec.Struct, frozen=True, tag="snapshot", array_like=True):
    snapshot: Snapshot


_Item = _Head | _Add | _Cut | _Vote | _Commit | _Enrolled | _Compacted
_items: msgspec.msgpack.Decoder[_Item] = msgspec.msgpack.Decoder(_Item)
_encode = msgspec.msgpack.Encoder().encode


class _State(msgspec.Struct):
    """All that a journal remembers."""

    entries: list[Entry] = []
    term: int = 0
    vote: str | None = None
    commit: int = 1
    enrolled: bool = False
    founders: dict[str, int] = {}
    snapshot: Snapshot | None = None

    def replay(self, item: _Item) -> None:
        match item:
            case _Head():
                pass
            case _Add():
                self.entries.append(item.entry)
            case _Cut():
                del self.entries[item.length :]
            case _Vote():
                self.term, self.vote = item.term, item.vote
            case _Commit():
                self.commit = item.index
            case _Enrolled():
                self.enrolled, self.founders = True, item.founders
            case _Compacted():
                self.snapshot = item.snapshot
                self.entries = [item.snapshot.previous, item.snapshot.last]

    def items(self) -> list[_Item]:
        """What brings an empty state here."""
        items: list[_Item] = [_Vote(self.term, self.vote), _Commit(self.commit)]
        if self.enrolled:
            items.append(_Enrolled(self.founders))
        if self.snapshot is not None:
            items.append(_Compacted(self.snapshot))
            if self.entries[:2] == [self.snapshot.previous, self.snapshot.last]:
                return [*items, *map(_Add, self.entries[2:])]
            items.append(_Cut(0))
        return [*items, *map(_Add, self.entries)]


def boot_id() -> str:
    """Differs after every start of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _frame(item: _Item) -> bytes:
    """Length, a check of the length alone (a damaged one must not pass for a torn tail), checksum, body."""
    body = _encode(item)
    length = len(body).to_bytes(4, "little")
    return length + xxhash.xxh32_digest(length) + xxhash.xxh3_64_digest(body) + body


def _unframe(data: bytes) -> tuple[list[memoryview], int, bool]:
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


class Journal:
    """See the module. One thread.

    A call that raises JournalError has changed nothing, neither here nor on disk.

    Attributes:
        bytes: Size of the file.
    """

    def __init__(self, storage: Storage, boot: str, identity: str) -> None:
        """Loads what is there.

        Raises:
            JournalError: It belongs to another member, its format is unknown, or it cannot be read or written.
        """
        self._storage = storage
        # Not a secret, and drawn by `random` so that a seeded run can be run again.
        self._head = _Head(FORMAT, boot, identity, random.getrandbits(63))
        self._state = _State()
        self._damaged = False
        self.bytes = 0
        try:
            data = storage.read()
        except OSError as error:
            raise JournalError(f"cannot read the journal of {identity}: {error.strerror}") from error
        self._load(data)
        self._written_commit = self._state.commit
        if not self._state.enrolled or self.bytes != len(data):
            self._rewrite(self._state)

    def _load(self, data: bytes) -> None:
        bodies, self.bytes, self._damaged = _unframe(data)
        if bodies:
            head = self._of_this_boot(bodies[0])
            try:
                for body in bodies:
                    self._state.replay(_items.decode(body))
            except msgspec.MsgspecError as error:
                raise JournalError(f"the journal of {self._head.identity} holds a record of no known kind") from error
            if head is None or self._damaged:
                self._state.enrolled = False
            else:
                self._head = head
            self._state.commit = min(self._state.commit, self._state.entries[-1][1] if self._state.entries else 1)
        if self._damaged:
            log.warning(
                "a journal is damaged: this member keeps what is whole, and votes when it has caught up",
                journal=self._head.identity,
                damaged_at=self.bytes,
                bytes=len(data),
            )

    def _of_this_boot(self, body: memoryview) -> _Head | None:
        try:
            head = _items.decode(body)
        except msgspec.MsgspecError:
            head = None
        if not isinstance(head, _Head) or head.format != FORMAT:
            raise JournalError("the journal has an unknown format: it was written by another version of pairsim")
        if head.identity != self._head.identity:
            raise JournalError(
                f"the journal belongs to {head.identity}, not to {self._head.identity}: "
                "give each process its own data folder"
            )
        return head if head.boot == self._head.boot else None

    def _append(self, item: _Item) -> None:
        data = _frame(item)
        try:
            self._storage.append(data)
        except OSError as error:
            raise self._failure(error) from error
        self.bytes += len(data)

    def _rewrite(self, state: _State) -> None:
        """Goes to another state in one step."""
        data = b"".join(map(_frame, [self._head, *state.items()]))
        try:
            self._storage.replace(data)
        except OSError as error:
            raise self._failure(error) from error
        self.bytes = len(data)
        self._state, self._written_commit = state, state.commit

    def _failure(self, error: OSError) -> JournalError:
        what = f"cannot write the journal of {self._head.identity}: {error.strerror}"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return JournalFullError(f"{what}. Make room under the data folder and start this process again")
        return JournalError(what)

    def _changed(self, **changes: object) -> _State:
        return msgspec.structs.replace(self._state, **changes)

    # --- pairsim's part

    @property
    def enrolled(self) -> bool:
        """The member may vote: it has been told so, on this boot of the machine."""
        return self._state.enrolled

    @property
    def incarnation(self) -> int:
        """Tells this journal from any other that the member had or will have; a restart on it changes nothing."""
        return self._head.incarnation

    @property
    def founders(self) -> dict[str, int]:
        """Incarnations of those who were all new together, if this member was there; empty otherwise."""
        return self._state.founders

    @property
    def snapshot(self) -> Snapshot | None:
        """What the log was compacted to."""
        return self._state.snapshot

    @property
    def blank(self) -> bool:
        """Whether this member has never said anything."""
        state = self._state
        return not (state.entries or state.term or state.enrolled or self._damaged)

    def enrol(self, founders: Mapping[str, int] = {}) -> None:
        """The member votes from now on; see `founders`."""
        if not self._state.enrolled:
            self._append(_Enrolled(dict(founders)))
            self._state.enrolled, self._state.founders = True, dict(founders)

    def found(self, snapshot: bytes, term: int) -> None:
        """Starts a generation from the sealed one's state: a voter from the beginning."""
        previous, last = (_FIRST[0], 1, term), (_FIRST[0], 2, term)
        compacted = Snapshot(snapshot, previous, last)
        self._rewrite(_State([previous, last], term, None, 2, enrolled=True, snapshot=compacted))

    def save_snapshot(self, data: bytes, previous: Entry, last: Entry, *, keep_tail: bool) -> None:
        """Compacts the log: entries before `previous` go, and without `keep_tail` those after `last`, too."""
        tail = [entry for entry in self._state.entries if entry[1] > last[1]] if keep_tail else []
        commit = max(self._state.commit, last[1]) if keep_tail else last[1]
        self._rewrite(
            self._changed(entries=[previous, last, *tail], commit=commit, snapshot=Snapshot(data, previous, last))
        )

    def close(self) -> None:
        """Lets another process open it."""
        try:
            self.onOneSecondTimer()
        finally:
            self._storage.close()

    # --- pysyncobj's part

    def add(self, command: bytes, idx: int, term: int) -> None:
        """Appends an entry; it is on disk when this returns."""
        entry = (command, idx, term)
        self._append(_Add(entry))
        self._state.entries.append(entry)

    def clear(self) -> None:
        """Forgets all entries; term and vote stay."""
        self._rewrite(self._changed(entries=[]))

    def deleteEntriesFrom(self, entryFrom: int) -> None:  # noqa: N802, N803 - pysyncobj's names
        """Cuts the log to its first `entryFrom` entries."""
        self._append(_Cut(entryFrom))
        del self._state.entries[entryFrom:]

    def deleteEntriesTo(self, entryTo: int) -> None:  # noqa: N802, N803 - pysyncobj's names
        """Forgets the first `entryTo` entries, in one step."""
        self._rewrite(self._changed(entries=self._state.entries[entryTo:]))

    @overload
    def __getitem__(self, item: int) -> Entry: ...
    @overload
    def __getitem__(self, item: slice) -> list[Entry]: ...
    def __getitem__(self, item: int | slice) -> Entry | list[Entry]:
        return self._state.entries[item]

    def __len__(self) -> int:
        return len(self._state.entries)

    def setRaftCommitIndex(self, raftCommitIndex: int) -> None:  # noqa: N802, N803 - pysyncobj's names
        """Notes the commit index; it may be old after a restart, so it is written now and then only."""
        self._state.commit = raftCommitIndex

    def getRaftCommitIndex(self) -> int:  # noqa: N802 - pysyncobj's name
        """The commit index as last noted."""
        return self._state.commit

    def setCurrentTerm(self, term: int, votedForNodeId: str | None) -> None:  # noqa: N802, N803 - pysyncobj's names
        """Term and vote; on disk when this returns."""
        self._append(_Vote(term, votedForNodeId))
        self._state.term, self._state.vote = term, votedForNodeId

    def getCurrentTerm(self) -> int:  # noqa: N802 - pysyncobj's name
        """The term."""
        return self._state.term

    def getVotedForNodeId(self) -> str | None:  # noqa: N802 - pysyncobj's name
        """The vote of the term."""
        return self._state.vote

    def onOneSecondTimer(self) -> None:  # noqa: N802 - pysyncobj's name
        """Writes the commit index if it has moved."""
        if self._state.commit != self._written_commit:
            self._append(_Commit(self._state.commit))
            self._written_commit = self._state.commit

    _destroy = close
