"""A Raft member's memory on disk: entries, term and vote, and the snapshot that the log was compacted to.

Takes the place of pysyncobj's journal, whose method names it therefore has, and differs where that one loses
data: records are checksummed and appended by one write each, a torn tail is cut at the next start, and
whatever replaces content (compaction, a snapshot) writes a new file and renames it over the old one. A compaction
does so beside what goes on, since members compact at about the same time, and silent ones are taken for dead.

Nothing is synced to the platter: a crash of the process loses nothing, a crash of the machine may. So the journal
carries the machine's boot id, and one of another boot counts as lost (`enrolled` is False): its member holds what
it says but does not vote until it has caught up. The same goes for a journal that is damaged.
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
    FIRST,
    FORMAT,
    Add,
    Commit,
    Cut,
    Enrolled,
    Head,
    Item,
    Snapshot,
    State,
    Vote,
    decode_item,
    frame,
    frame_snapshot,
    unframe,
)
from pairsim.replication.raft.messages import Entry
from pairsim.replication.raft.storage import Draft, FileStorage, JournalError, JournalFullError, MemoryStorage, Storage

__all__ = ["FileStorage", "Journal", "JournalError", "JournalFullError", "MemoryStorage", "Snapshot", "boot_id"]

log = structlog.get_logger()


def boot_id() -> str:
    """Differs after every start of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


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
        self._head = Head(FORMAT, boot, identity, random.getrandbits(63))
        self._state = State()
        self._damaged = False
        self._draft: tuple[Draft, list[Snapshot]] | None = None
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
        bodies, self.bytes, self._damaged = unframe(data)
        if bodies:
            head = self._of_this_boot(bodies[0])
            try:
                for body in bodies:
                    self._state.replay(decode_item(body))
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

    def _of_this_boot(self, body: memoryview) -> Head | None:
        try:
            head = decode_item(body)
        except msgspec.MsgspecError:
            head = None
        if not isinstance(head, Head) or head.format != FORMAT:
            raise JournalError("the journal has an unknown format: it was written by another version of pairsim")
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
            raise self._failure(error) from error
        self.bytes += len(data)

    def _rewrite(self, state: State) -> None:
        """Goes to another state in one step."""
        self._discard()
        data = b"".join(map(frame, [self._head, *state.items()]))
        try:
            self._storage.replace(data)
        except OSError as error:
            raise self._failure(error) from error
        self._is(state, len(data))

    def _discard(self) -> None:
        if self._draft is not None:
            self._draft[0].discard()
            self._draft = None

    def _is(self, state: State, size: int) -> None:
        self.bytes = size
        self._state, self._written_commit = state, state.commit

    def _failure(self, error: OSError) -> JournalError:
        what = f"cannot write the journal of {self._head.identity}: {error.strerror}"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return JournalFullError(f"{what}. Make room under the data folder and start this process again")
        return JournalError(what)

    def _changed(self, **changes: object) -> State:
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
            self._append(Enrolled(dict(founders)))
            self._state.enrolled, self._state.founders = True, dict(founders)

    def found(self, snapshot: bytes, term: int) -> None:
        """Starts a generation from the sealed one's state: a voter from the beginning."""
        previous, last = (FIRST[0], 1, term), (FIRST[0], 2, term)
        compacted = Snapshot(snapshot, previous, last)
        self._rewrite(State([previous, last], term, None, 2, enrolled=True, snapshot=compacted))

    def save_snapshot(self, data: bytes, previous: Entry, last: Entry, *, keep_tail: bool) -> None:
        """Takes a leader's snapshot: entries before `previous` go, and without `keep_tail` those after `last`, too."""
        self._rewrite(self._compacted(Snapshot(data, previous, last), keep_tail=keep_tail))

    def _compacted(self, snapshot: Snapshot, *, keep_tail: bool) -> State:
        previous, last = snapshot.previous, snapshot.last
        tail = [entry for entry in self._state.entries if entry[1] > last[1]] if keep_tail else []
        commit = max(self._state.commit, last[1]) if keep_tail else last[1]
        return self._changed(entries=[previous, last, *tail], commit=commit, snapshot=snapshot)

    def compact(self, pack: Callable[[], bytes], previous: Entry, last: Entry) -> None:
        """Begins to compact the log to the own snapshot up to `last`, which is committed.

        A large one takes longer to pack and to write than a leader may be silent: a thread does, if the storage has
        one, and `compacting` ends it.
        """
        head, made = frame(self._head), list[Snapshot]()

        def content() -> Iterator[bytes | memoryview]:
            made.append(Snapshot(pack(), previous, last))
            yield head
            yield from frame_snapshot(made[0])

        try:
            self._draft = self._storage.draft(content()), made
        except OSError as error:
            raise self._failure(error) from error
        self.compacting()

    def compacting(self) -> bool:
        """Whether a compaction is under way; one that is written is in force when this returns."""
        if self._draft is None:
            return False
        draft, made = self._draft
        try:
            if not draft.written():
                return True
            self._draft = None
            state = self._compacted(made[0], keep_tail=True)
            size = draft.finish(b"".join(map(frame, state.items_after(2))))
        except OSError as error:
            self._draft = None
            raise self._failure(error) from error
        self._is(state, size)
        return False

    def close(self) -> None:
        """Lets another process open it."""
        self._discard()
        try:
            self.onOneSecondTimer()
        finally:
            self._storage.close()

    # --- pysyncobj's part

    def add(self, command: bytes, idx: int, term: int) -> None:
        """Appends an entry; it is on disk when this returns."""
        entry = (command, idx, term)
        self._append(Add(entry))
        self._state.entries.append(entry)

    def clear(self) -> None:
        """Forgets all entries; term and vote stay."""
        self._rewrite(self._changed(entries=[]))

    def deleteEntriesFrom(self, entryFrom: int) -> None:  # noqa: N802, N803 - pysyncobj's names
        """Cuts the log to its first `entryFrom` entries."""
        self._append(Cut(entryFrom))
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
        self._append(Vote(term, votedForNodeId))
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
            self._append(Commit(self._state.commit))
            self._written_commit = self._state.commit

    _destroy = close
