"""A Raft member's memory on disk: entries, term and vote, and the snapshot that the log was compacted to.

The journal replaces pysyncobj's own journal, so a part of its methods has pysyncobj's names. It differs where
pysyncobj's journal loses data: every item is checksummed and appended by one write, a torn tail is cut off at the next
start, and an operation that replaces content (a compaction, a leader's snapshot) writes a new file and renames it over
the old one. A compaction writes in the background while the member works, since all members compact at about the same
time, and a silent member is taken for dead.

Nothing is synced to the platter: a crash of the process loses nothing, a crash of the machine may. Therefore the
journal carries the machine's boot id, and a journal from another boot counts as lost (`is_voter` is False): its member
keeps what the journal says, but does not vote until it has caught up. The same holds for a damaged journal.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import overload

import msgspec
import structlog

from pairsim.replication.raft.journal_format import (
    FIRST_ENTRY,
    FORMAT,
    Add,
    Commit,
    Cut,
    Head,
    Item,
    JournalState,
    Promoted,
    StoredSnapshot,
    Vote,
    decode_item,
    frame,
    frame_snapshot,
    unframe,
)
from pairsim.replication.raft.messages import Entry
from pairsim.replication.raft.storage import JournalError, JournalFullError, PendingFile, Storage

log = structlog.get_logger()


def boot_id() -> str:
    """Returns an id that changes with every start of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


class Journal:
    """The journal of one member, for one thread. A call that raises JournalError has changed nothing at all.

    Attributes:
        bytes: Size of the file.
        incarnation: A number that tells this journal from every other that the member had or will have; it stays the
            same when the member restarts on this journal.
    """

    def __init__(self, storage: Storage, boot: str, identity: str) -> None:
        """Loads the content of the storage.

        Args:
            storage: Where the bytes live.
            boot: The machine's boot id.
            identity: The member's area, generation and name.

        Raises:
            JournalError: The journal belongs to another member, has an unknown format, or cannot be read or written.
        """
        self._storage = storage
        # Not a secret, and drawn by `random` so that a seeded run can be repeated.
        self._head = Head(FORMAT, boot, identity, random.getrandbits(63))
        self._state = JournalState()
        self._damaged = False
        self._compaction: tuple[PendingFile, list[StoredSnapshot]] | None = None
        self.bytes = 0
        try:
            data = storage.read()
        except OSError as error:
            raise JournalError(f"cannot read the journal of {identity}: {error.strerror}") from error
        self._load(data)
        self.incarnation = self._head.incarnation
        self._written_commit = self._state.commit
        if not self._state.is_voter or self.bytes != len(data):
            self._rewrite(self._state)

    def _load(self, data: bytes) -> None:
        bodies, self.bytes, self._damaged = unframe(data)
        if bodies:
            head = self._head_of_this_boot(bodies[0])
            try:
                for body in bodies:
                    self._state.replay(decode_item(body))
            except msgspec.MsgspecError as error:
                raise JournalError(
                    f"the journal of {self._head.identity} holds a record of an unknown kind: "
                    "start the version of pairsim that wrote it"
                ) from error
            if head is None or self._damaged:
                self._state.is_voter = False
            else:
                self._head = head
            self._state.commit = min(self._state.commit, self._state.entries[-1][1] if self._state.entries else 1)
        if self._damaged:
            log.warning(
                "a journal is damaged: this member keeps the whole records, and votes when it has caught up",
                journal=self._head.identity,
                damaged_at=self.bytes,
                bytes=len(data),
            )

    def _head_of_this_boot(self, body: memoryview) -> Head | None:
        """Returns the file's head; None if the file is from another boot of the machine."""
        try:
            head = decode_item(body)
        except msgspec.MsgspecError:
            head = None
        if not isinstance(head, Head):
            raise JournalError("the journal has an unknown format: it was written by another version of pairsim")
        if head.format != FORMAT:
            raise JournalError(
                f"the journal of {head.identity} has format {head.format}, and this version of pairsim has format"
                f" {FORMAT}: start the version that wrote it, back up the area (GET /v1/backup), and send the backup to"
                " a new world with `pairsim send --file`"
            )
        if head.identity != self._head.identity:
            raise JournalError(
                f"the journal belongs to {head.identity}, not to {self._head.identity}: "
                "give each process its own data folder"
            )
        return head if head.boot == self._head.boot else None

    def _append(self, item: Item) -> None:
        data = frame(item)
        try:
            self._storage.append(data)
        except OSError as error:
            raise self._to_journal_error(error) from error
        self.bytes += len(data)

    def _rewrite(self, state: JournalState) -> None:
        """Replaces the whole state in one step."""
        self._discard_compaction()
        data = b"".join(map(frame, [self._head, *state.items()]))
        try:
            self._storage.replace(data)
        except OSError as error:
            raise self._to_journal_error(error) from error
        self._adopt(state, len(data))

    def _discard_compaction(self) -> None:
        if self._compaction is not None:
            self._compaction[0].discard()
            self._compaction = None

    def _adopt(self, state: JournalState, size: int) -> None:
        self.bytes = size
        self._state, self._written_commit = state, state.commit

    def _to_journal_error(self, error: OSError) -> JournalError:
        what = f"cannot write the journal of {self._head.identity}: {error.strerror}"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return JournalFullError(f"{what}. Make room under the data folder and start this process again")
        return JournalError(what)

    def _changed(self, **changes: object) -> JournalState:
        return msgspec.structs.replace(self._state, **changes)

    # --- pairsim's part

    @property
    def is_voter(self) -> bool:
        """Whether the member may vote: it was promoted on this boot of the machine."""
        return self._state.is_voter

    @property
    def initial_members(self) -> dict[str, int]:
        """Incarnations of the members that were all new together, if this member was one of them; else empty."""
        return self._state.initial_members

    @property
    def snapshot(self) -> StoredSnapshot | None:
        """The snapshot that the log was compacted to; None before the first compaction."""
        return self._state.snapshot

    @property
    def blank(self) -> bool:
        """Whether this member never acknowledged anything."""
        state = self._state
        return not (state.entries or state.term or state.is_voter or self._damaged)

    def promote_to_voter(self, initial_members: Mapping[str, int] = {}) -> None:
        """Records that the member votes from now on; does nothing if it does already."""
        if not self._state.is_voter:
            self._append(Promoted(dict(initial_members)))
            self._state.is_voter, self._state.initial_members = True, dict(initial_members)

    def bootstrap(self, snapshot: bytes, term: int) -> None:
        """Starts a generation from the snapshot and the term of the sealed one; the member is a voter at once."""
        previous, last = (FIRST_ENTRY[0], 1, term), (FIRST_ENTRY[0], 2, term)
        compacted = StoredSnapshot(snapshot, previous, last)
        self._rewrite(JournalState([previous, last], term, None, 2, is_voter=True, snapshot=compacted))

    def save_snapshot(self, data: bytes, previous: Entry, last: Entry, *, keep_tail: bool) -> None:
        """Replaces the entries up to `last` by a leader's snapshot.

        Args:
            data: The state machine's snapshot.
            previous: The last entry but one that the snapshot covers.
            last: The last entry that the snapshot covers.
            keep_tail: Whether the entries after `last` stay.
        """
        self._rewrite(self._compacted(StoredSnapshot(data, previous, last), keep_tail=keep_tail))

    def _compacted(self, snapshot: StoredSnapshot, *, keep_tail: bool) -> JournalState:
        previous, last = snapshot.previous, snapshot.last
        tail = [entry for entry in self._state.entries if entry[1] > last[1]] if keep_tail else []
        commit = max(self._state.commit, last[1]) if keep_tail else last[1]
        return self._changed(entries=[previous, last, *tail], commit=commit, snapshot=snapshot)

    def compact(self, pack: Callable[[], bytes], previous: Entry, last: Entry) -> None:
        """Starts to compact the log to this member's own snapshot up to `last`, which is committed.

        A large snapshot takes longer to pack and to write than a leader may be silent. If the storage has a thread,
        the thread does both, and `compacting` completes the compaction.
        """
        head, made = frame(self._head), list[StoredSnapshot]()

        def content() -> Iterator[bytes | memoryview]:
            made.append(StoredSnapshot(pack(), previous, last))
            yield head
            yield from frame_snapshot(made[0])

        try:
            self._compaction = self._storage.begin_replace(content()), made
        except OSError as error:
            raise self._to_journal_error(error) from error
        self.compacting()

    def compacting(self) -> bool:
        """Returns whether a compaction is running; puts a compaction into force that has been written."""
        if self._compaction is None:
            return False
        pending, made = self._compaction
        try:
            if not pending.is_written():
                return True
            self._compaction = None
            state = self._compacted(made[0], keep_tail=True)
            size = pending.finish(b"".join(map(frame, state.items_after(2))))
        except OSError as error:
            self._compaction = None
            raise self._to_journal_error(error) from error
        self._adopt(state, size)
        return False

    def close(self) -> None:
        """Writes the commit index and releases the storage, so that another process can open it."""
        self._discard_compaction()
        try:
            self.onOneSecondTimer()
        finally:
            self._storage.close()

    # --- pysyncobj's part

    def add(self, command: bytes, idx: int, term: int) -> None:
        """Appends an entry; the entry is written when this returns."""
        entry = (command, idx, term)
        self._append(Add(entry))
        self._state.entries.append(entry)

    def clear(self) -> None:
        """Removes all entries; term and vote stay."""
        self._rewrite(self._changed(entries=[]))

    def deleteEntriesFrom(self, entryFrom: int) -> None:  # noqa: N802, N803 - pysyncobj's names
        """Cuts the log to its first `entryFrom` entries."""
        self._append(Cut(entryFrom))
        del self._state.entries[entryFrom:]

    def deleteEntriesTo(self, entryTo: int) -> None:  # noqa: N802, N803 - pysyncobj's names
        """Removes the first `entryTo` entries in one step."""
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
        """Records the commit index; it may be old after a restart, so it is written only once a second."""
        self._state.commit = raftCommitIndex

    def getRaftCommitIndex(self) -> int:  # noqa: N802 - pysyncobj's name
        """Returns the commit index as last recorded."""
        return self._state.commit

    def setCurrentTerm(self, term: int, votedForNodeId: str | None) -> None:  # noqa: N802, N803 - pysyncobj's names
        """Records term and vote; they are written when this returns."""
        self._append(Vote(term, votedForNodeId))
        self._state.term, self._state.vote = term, votedForNodeId

    def getCurrentTerm(self) -> int:  # noqa: N802 - pysyncobj's name
        """Returns the term."""
        return self._state.term

    def getVotedForNodeId(self) -> str | None:  # noqa: N802 - pysyncobj's name
        """Returns the candidate that got this member's vote in the term."""
        return self._state.vote

    def onOneSecondTimer(self) -> None:  # noqa: N802 - pysyncobj's name
        """Writes the commit index if it has changed since it was last written."""
        if self._state.commit != self._written_commit:
            self._append(Commit(self._state.commit))
            self._written_commit = self._state.commit

    _destroy = close
