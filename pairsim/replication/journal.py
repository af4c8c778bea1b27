"""A Raft member's memory on disk: entries, term and vote, and the snapshot that the log was compacted to.

Takes the place of pysyncobj's journal, whose method names it therefore has, and differs where that one loses
data: records are checksummed and appended by one write each, a torn tail is cut at the next start, and
whatever replaces content (compaction, a snapshot) writes a new file and renames it over the old one.

Nothing is synced to the platter: a crash of the process loses nothing, a crash of the machine may. So the journal
carries the machine's boot id, and one of another boot counts as lost (`enrolled` is False): its member holds what
it says but does not vote until it has caught up.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Protocol, overload

import msgspec
import xxhash

from pairsim.replication.messages import Entry

FORMAT = 1
_FRAME = 12
_FIRST: Entry = (b"\1", 1, 0)


class JournalError(Exception):
    """The journal cannot be read or written; a sentence for the operator."""


class Storage(Protocol):
    """One file, appended to or replaced as a whole."""

    def read(self) -> bytes:
        """All of it; empty if there is none."""

    def append(self, data: bytes) -> None:
        """Adds bytes at the end, all or none. Raises OSError."""

    def replace(self, data: bytes) -> None:
        """Puts other content in place, atomically. Raises OSError."""

    def close(self) -> None:
        """Lets another process open it."""


class FileStorage:
    """A file that one process at a time may open."""

    def __init__(self, path: Path) -> None:
        """Opens or creates it.

        Raises:
            JournalError: Another process has it, or it cannot be opened.
        """
        self._path = path
        self._temporary = path.with_suffix(".tmp")
        self._lock = -1
        try:
            self._lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with contextlib.suppress(FileNotFoundError):
                self._temporary.unlink()
            self._file = self._open()
        except BlockingIOError as error:
            os.close(self._lock)
            raise JournalError(f"{path} is in use by another process: give each process its own data folder") from error
        except OSError as error:
            raise JournalError(f"cannot open the journal {path}: {error.strerror}") from error

    def _open(self) -> int:
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(fd).st_size
        return fd

    def read(self) -> bytes:
        """See `Storage`."""
        return self._path.read_bytes()

    def append(self, data: bytes) -> None:
        """See `Storage`."""
        written = 0
        try:
            written = os.write(self._file, data)
            if written != len(data):
                raise OSError(28, "the disk is full")
        except OSError:
            if written:
                os.ftruncate(self._file, self._size)  # no half record may be followed by a whole one
            raise
        self._size += written

    def replace(self, data: bytes) -> None:
        """See `Storage`."""
        fd = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
        finally:
            os.close(fd)
        self._temporary.replace(self._path)
        os.close(self._file)
        self._file = self._open()

    def close(self) -> None:
        """See `Storage`."""
        os.close(self._file)
        os.close(self._lock)


class MemoryStorage:
    """A file in memory, for simulations; `torn` bytes of the last write can be cut off."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.last = 0

    def read(self) -> bytes:
        """See `Storage`."""
        return bytes(self.data)

    def append(self, data: bytes) -> None:
        """See `Storage`."""
        self.data += data
        self.last = len(data)

    def replace(self, data: bytes) -> None:
        """See `Storage`."""
        self.data, self.last = bytearray(data), 0

    def close(self) -> None:
        """See `Storage`."""


class Snapshot(msgspec.Struct, frozen=True, array_like=True):
    """The state machine after `last`, with the last two entries that it covers."""

    data: bytes
    previous: Entry
    last: Entry


class _Head(msgspec.Struct, frozen=True, tag="head", array_like=True):
    format: int
    boot: str
    identity: str


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
    pass


class _Compacted(msgspec.Struct, frozen=True, tag="snapshot", array_like=True):
    snapshot: Snapshot


_Item = _Head | _Add | _Cut | _Vote | _Commit | _Enrolled | _Compacted
_items: msgspec.msgpack.Decoder[_Item] = msgspec.msgpack.Decoder(_Item)
_encode = msgspec.msgpack.Encoder().encode


def boot_id() -> str:
    """Differs after every start of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _frame(item: _Item) -> bytes:
    body = _encode(item)
    return len(body).to_bytes(4, "little") + xxhash.xxh3_64_digest(body) + body


class Journal:
    """See the module. One thread.

    Attributes:
        enrolled: The member may vote: it has been told so, on this boot of the machine.
        snapshot: What the log was compacted to.
        bytes: Size of the file.
    """

    def __init__(self, storage: Storage, boot: str, identity: str) -> None:
        """Loads what is there.

        Raises:
            JournalError: It belongs to another member, or its format is unknown.
        """
        self._storage = storage
        self._head = _Head(FORMAT, boot, identity)
        self._entries: list[Entry] = []
        self._term = 0
        self._vote: str | None = None
        self._commit = self._written_commit = 1
        self._same_boot = True
        self.enrolled = False
        self.snapshot: Snapshot | None = None
        self.bytes = 0
        items = self._load(storage.read())
        for item in items:
            self._replay(item)
        if not items or not self.enrolled or self.bytes != len(storage.read()):
            self._rewrite()

    def _load(self, data: bytes) -> list[_Item]:
        items: list[_Item] = []
        at, view = 0, memoryview(data)
        while at + _FRAME <= len(data):
            length = int.from_bytes(view[at : at + 4], "little")
            body = view[at + _FRAME : at + _FRAME + length]
            if len(body) != length or xxhash.xxh3_64_digest(body) != view[at + 4 : at + _FRAME]:
                break  # a torn tail: its write never returned, so nobody was told
            items.append(_items.decode(body))
            at += _FRAME + length
        self.bytes = at
        if items:
            self._check(items[0])
        return items

    def _check(self, head: _Item) -> None:
        if not isinstance(head, _Head) or head.format != FORMAT:
            raise JournalError("the journal has an unknown format: it was written by another version of pairsim")
        if head.identity != self._head.identity:
            raise JournalError(f"the journal belongs to {head.identity}, not to {self._head.identity}")

    def _replay(self, item: _Item) -> None:
        match item:
            case _Head():
                self._same_boot = item.boot == self._head.boot
            case _Add():
                self._entries.append(item.entry)
            case _Cut():
                del self._entries[item.length :]
            case _Vote():
                self._term, self._vote = item.term, item.vote
            case _Commit():
                self._commit = self._written_commit = item.index
            case _Enrolled():
                self.enrolled = self._same_boot
            case _Compacted():
                self.snapshot = item.snapshot

    def _append(self, item: _Item) -> None:
        data = _frame(item)
        try:
            self._storage.append(data)
        except OSError as error:
            raise JournalError(f"cannot write the journal: {error.strerror}") from error
        self.bytes += len(data)

    def _rewrite(self) -> None:
        """Writes everything anew, in one step."""
        items: list[_Item] = [self._head, _Vote(self._term, self._vote), _Commit(self._commit)]
        if self.enrolled:
            items.append(_Enrolled())
        if self.snapshot is not None:
            items.append(_Compacted(self.snapshot))
        data = b"".join(map(_frame, items)) + b"".join(_frame(_Add(entry)) for entry in self._entries)
        try:
            self._storage.replace(data)
        except OSError as error:
            raise JournalError(f"cannot write the journal: {error.strerror}") from error
        self.bytes = len(data)

    # --- pairsim's part

    @property
    def blank(self) -> bool:
        """Whether this member has never said anything."""
        return not self._entries and not self._term and not self.enrolled

    def enrol(self) -> None:
        """The member votes from now on."""
        if not self.enrolled:
            self._append(_Enrolled())
            self.enrolled = True

    def found(self, snapshot: bytes, term: int) -> None:
        """Starts a generation from the sealed one's state: a voter from the beginning."""
        previous, last = (_FIRST[0], 1, term), (_FIRST[0], 2, term)
        self.snapshot = Snapshot(snapshot, previous, last)
        self._entries = [previous, last]
        self._term, self._vote, self._commit, self.enrolled = term, None, 2, True
        self._rewrite()

    def save_snapshot(self, data: bytes, previous: Entry, last: Entry, *, keep_tail: bool) -> None:
        """Compacts the log: entries before `previous` go, and without `keep_tail` those after `last`, too."""
        tail = [entry for entry in self._entries if entry[1] > last[1]] if keep_tail else []
        self.snapshot = Snapshot(data, previous, last)
        self._entries = [previous, last, *tail]
        self._commit = max(self._commit, last[1]) if keep_tail else last[1]
        self._rewrite()

    def close(self) -> None:
        """Lets another process open it."""
        self.onOneSecondTimer()
        self._storage.close()

    # --- pysyncobj's part

    def add(self, command: bytes, idx: int, term: int) -> None:
        """Appends an entry; it is on disk when this returns."""
        entry = (command, idx, term)
        self._append(_Add(entry))
        self._entries.append(entry)

    def deleteEntriesFrom(self, entryFrom: int) -> None:  # noqa: N802, N803 - pysyncobj's names
        """Cuts the log to its first `entryFrom` entries."""
        self._append(_Cut(entryFrom))
        del self._entries[entryFrom:]

    @overload
    def __getitem__(self, item: int) -> Entry: ...
    @overload
    def __getitem__(self, item: slice) -> list[Entry]: ...
    def __getitem__(self, item: int | slice) -> Entry | list[Entry]:
        return self._entries[item]

    def __len__(self) -> int:
        return len(self._entries)

    def setRaftCommitIndex(self, raftCommitIndex: int) -> None:  # noqa: N802, N803 - pysyncobj's names
        """Notes the commit index; it may be old after a restart, so it is written now and then only."""
        self._commit = raftCommitIndex

    def getRaftCommitIndex(self) -> int:  # noqa: N802 - pysyncobj's name
        """The commit index as last noted."""
        return self._commit

    def setCurrentTerm(self, term: int, votedForNodeId: str | None) -> None:  # noqa: N802, N803 - pysyncobj's names
        """Term and vote; on disk when this returns."""
        self._append(_Vote(term, votedForNodeId))
        self._term, self._vote = term, votedForNodeId

    def getCurrentTerm(self) -> int:  # noqa: N802 - pysyncobj's name
        """The term."""
        return self._term

    def getVotedForNodeId(self) -> str | None:  # noqa: N802 - pysyncobj's name
        """The vote of the term."""
        return self._vote

    def onOneSecondTimer(self) -> None:  # noqa: N802 - pysyncobj's name
        """Writes the commit index if it has moved."""
        if self._commit != self._written_commit:
            self._append(_Commit(self._commit))
            self._written_commit = self._commit
