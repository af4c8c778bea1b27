from __future__ import annotations

import contextlib
import copy
import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pysyncobj.journal
import pytest
import structlog.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from pairsim.replication.raft import storage as storage_module
from pairsim.replication.raft.journal import Journal, boot_id
from pairsim.replication.raft.messages import Entry
from pairsim.replication.raft.storage import FileStorage, JournalError, JournalFullError, MemoryStorage

ME = "north/1/a"
PATIENCE = 10.0
"""How long a test waits for what must happen, in seconds."""


class Crash(BaseException):
    """The process dies here."""


class MortalStorage(MemoryStorage):
    """Dies after so many more bytes; an append may be torn, a replacement happens or does not."""

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
    """What a member must not forget (the commit index may be old)."""
    snapshot = None if journal.snapshot is None else msgspec.msgpack.encode(journal.snapshot)
    return journal[:], journal.getCurrentTerm(), journal.getVotedForNodeId(), journal.is_voter, snapshot


# --- what any journal must do ------------------------------------------------------------------------------


def test_has_every_method_of_the_library_s_journal() -> None:
    wanted = {name for name in vars(pysyncobj.journal.Journal) if not name.startswith("__")}
    assert all(callable(getattr(Journal, name)) for name in wanted | {"__getitem__", "__len__"})


def test_remembers_entries_term_and_vote() -> None:
    storage = MemoryStorage()
    filled(storage)
    again = opened(storage)
    assert (len(again), again[0], again[-1]) == (4, (b"command 1", 1, 3), (b"command 4", 4, 3))
    assert again[1:3] == [(b"command 2", 2, 3), (b"command 3", 3, 3)]
    assert (again.getCurrentTerm(), again.getVotedForNodeId(), again.is_voter) == (3, "b", True)


def test_a_fresh_journal_is_blank_and_does_not_vote() -> None:
    journal = opened(MemoryStorage())
    assert journal.blank
    assert not journal.is_voter
    assert journal.getRaftCommitIndex() == 1


def test_another_boot_keeps_the_entries_and_takes_the_vote_away() -> None:
    storage = MemoryStorage()
    filled(storage)
    for _start in range(2):  # the second start of the new boot must not forget it
        journal = opened(storage, boot="another")
        assert not journal.is_voter
        assert not journal.blank
        assert len(journal) == 4
    journal.promote_to_voter()
    assert opened(storage, boot="another").is_voter


def test_a_restart_is_the_same_incarnation_and_a_lost_or_old_journal_another() -> None:
    storage = MemoryStorage()
    first = opened(storage).incarnation
    assert opened(storage).incarnation == first
    assert opened(MemoryStorage()).incarnation != first
    later = opened(storage, boot="another").incarnation
    assert later != first
    assert opened(storage, boot="another").incarnation == later


def test_remembers_who_founded_the_group_through_a_compaction() -> None:
    storage = MemoryStorage()
    journal = opened(storage)
    journal.promote_to_voter({"a": 1, "b": 2, "w": 3})
    journal.add(b"one", 1, 1)
    journal.clear()
    assert opened(storage).initial_members == {"a": 1, "b": 2, "w": 3}


def test_refuses_the_journal_of_another_member() -> None:
    storage = MemoryStorage()
    filled(storage)
    before = storage.read()
    with pytest.raises(JournalError, match="belongs to north/1/a, not to north/2/a"):
        opened(storage, identity="north/2/a")
    assert storage.read() == before


def test_refuses_another_format(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = MemoryStorage()
    monkeypatch.setattr("pairsim.replication.raft.journal.FORMAT", 2)
    filled(storage)
    monkeypatch.undo()
    with pytest.raises(JournalError, match="unknown format"):
        opened(storage)


def test_the_commit_index_is_written_now_and_then() -> None:
    storage = MemoryStorage()
    journal = filled(storage)
    size = len(storage.data)
    journal.setRaftCommitIndex(3)
    assert len(storage.data) == size
    assert opened(MemoryStorage(storage.read())).getRaftCommitIndex() == 1
    journal.onOneSecondTimer()
    written = len(storage.data)
    journal.onOneSecondTimer()
    assert len(storage.data) == written > size
    assert opened(storage).getRaftCommitIndex() == 3


def test_a_snapshot_replaces_what_it_covers() -> None:
    storage = MemoryStorage()
    journal = filled(storage, 6)
    journal.save_snapshot(b"state", journal[2], journal[3], keep_tail=True)
    for seen in (journal, opened(storage)):
        assert [entry[1] for entry in seen[:]] == [3, 4, 5, 6]
        assert seen.snapshot is not None
        assert seen.snapshot.data == b"state"
        assert seen.getRaftCommitIndex() == 4
    journal.save_snapshot(b"leader's", (b"x", 90, 4), (b"y", 91, 4), keep_tail=False)
    assert opened(storage)[:] == [(b"x", 90, 4), (b"y", 91, 4)]
    assert opened(storage).getCurrentTerm() == 3


@pytest.mark.parametrize(("change", "left"), [(lambda j: j.deleteEntriesTo(1), [4, 5, 6]), (Journal.clear, [])])
def test_entries_that_a_snapshot_covers_can_be_forgotten(change: Operation, left: list[int]) -> None:
    storage = MemoryStorage()
    journal = filled(storage, 6)
    journal.save_snapshot(b"state", journal[2], journal[3], keep_tail=True)
    change(journal)
    assert [entry[1] for entry in journal[:]] == left
    assert facts(opened(storage)) == facts(journal)


def test_a_founder_of_a_generation_votes_from_the_beginning() -> None:
    storage = MemoryStorage()
    opened(storage).bootstrap(b"sealed", 7)
    journal = opened(storage)
    assert (journal.is_voter, journal.getCurrentTerm(), journal.getVotedForNodeId()) == (True, 7, None)
    assert [entry[1:] for entry in journal[:]] == [(1, 7), (2, 7)]
    assert not journal.blank


def test_knows_its_size() -> None:
    storage = MemoryStorage()
    journal = filled(storage)
    assert journal.bytes == len(storage.data)
    journal.deleteEntriesTo(2)
    assert journal.bytes == len(storage.data) == opened(storage).bytes


# --- crashes and damage ------------------------------------------------------------------------------------


def _add(size: int, term: int) -> Operation:
    return lambda journal: journal.add(b"c" * size, journal[-1][1] + 1 if len(journal) else 1, term)


def _compact(place: int, keep_tail: bool) -> Operation:
    def act(journal: Journal) -> None:
        if len(journal) >= 2:
            at = place % (len(journal) - 1)
            journal.save_snapshot(b"s" * place, journal[at], journal[at + 1], keep_tail=keep_tail)

    return act


def _compact_own(place: int) -> Operation:
    def act(journal: Journal) -> None:
        if len(journal) >= 2:
            at = place % (len(journal) - 1)
            journal.compact(lambda: b"s" * place, journal[at], journal[at + 1])

    return act


_operations = st.one_of(
    st.builds(_add, st.integers(0, 40), st.integers(0, 9)),
    st.builds(_add, st.integers(0, 40), st.integers(0, 9)),
    st.builds(lambda n: lambda journal: journal.deleteEntriesFrom(n % (len(journal) + 1)), st.integers(0, 50)),
    st.builds(lambda n: lambda journal: journal.deleteEntriesTo(n % (len(journal) + 1)), st.integers(0, 50)),
    st.builds(_compact, st.integers(0, 50), st.booleans()),
    st.builds(_compact_own, st.integers(0, 50)),
    st.builds(lambda t, v: lambda journal: journal.setCurrentTerm(t, v), st.integers(0, 99), st.none() | st.text()),
    st.builds(lambda t: lambda journal: journal.bootstrap(b"f", t), st.integers(0, 99)),
    st.just(lambda journal: journal.promote_to_voter()),
    st.just(lambda journal: journal.clear()),
    st.builds(lambda n: lambda journal: (journal.setRaftCommitIndex(n), journal.onOneSecondTimer()), st.integers(1, 9)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(_operations, max_size=25), st.integers(0, 1500))
def test_a_crash_at_any_byte_loses_nothing_that_was_acknowledged(operations: list[Operation], bytes_left: int) -> None:
    storage = MortalStorage()
    journal = opened(storage)
    journal.promote_to_voter()
    storage.left = bytes_left
    before = after = copy.deepcopy(facts(journal))
    try:
        for operation in operations:
            before = copy.deepcopy(facts(journal))
            shadow = opened(MemoryStorage(storage.read()))
            operation(shadow)
            after = facts(shadow)
            operation(journal)
            before = after
    except Crash:
        pass
    again = opened(MemoryStorage(storage.read()))
    assert facts(again) in (before, after)
    again.add(b"goes on", 1000, 10)
    assert facts(opened(MemoryStorage(again._storage.read()))) == facts(again)


def _crash_after(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    write = os.write

    def mortal(fd: int, data: bytes) -> int:
        nonlocal size
        written = write(fd, data[:size])
        size -= written
        if written < len(data):
            raise Crash
        return written

    monkeypatch.setattr(storage_module.os, "write", mortal)


@pytest.mark.parametrize("change", ["deleteEntriesTo", "save_snapshot"])
def test_a_crash_at_any_byte_of_a_compaction_keeps_every_entry(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "generation-1.journal"
    first = FileStorage(path)
    filled(first)
    first.close()
    whole, size, survived = path.read_bytes(), 0, 0
    while True:
        path.write_bytes(whole)
        file = FileStorage(path)
        journal = opened(file)
        _crash_after(monkeypatch, size)
        try:
            if change == "deleteEntriesTo":
                journal.deleteEntriesTo(2)
            else:
                journal.save_snapshot(b"state", journal[1], journal[2], keep_tail=True)
            crashed = False
        except Crash:
            crashed = True
        monkeypatch.undo()
        file.close()
        file = FileStorage(path)
        indexes = [entry[1] for entry in opened(file)[:]]
        file.close()
        if not crashed:
            break
        assert indexes == [1, 2, 3, 4]
        size, survived = size + 1, survived + 1
    assert indexes == ([3, 4] if change == "deleteEntriesTo" else [2, 3, 4])
    assert survived > 100
    assert sorted(p.name for p in tmp_path.iterdir()) == ["generation-1.journal", "generation-1.lock"]


class SlowPack:
    """A snapshot that is packed when it is told to."""

    def __init__(self, data: bytes = b"state") -> None:
        self.data, self.begun, self.goes_on = data, threading.Event(), threading.Event()

    def __call__(self) -> bytes:
        self.begun.set()
        assert self.goes_on.wait(PATIENCE)
        return self.data


@pytest.fixture
def file(tmp_path: Path) -> Iterator[FileStorage]:
    made = FileStorage(tmp_path / "generation-1.journal")
    yield made
    made.close()


def until_compacted(journal: Journal) -> None:
    end = time.monotonic() + PATIENCE
    while journal.compacting():
        assert time.monotonic() < end, "it was never written"


@pytest.mark.parametrize("size", [0, 1, 300, 2**16 + 1, 3 * 2**20 + 5])
def test_a_journal_goes_on_while_it_is_compacted(file: FileStorage, size: int) -> None:
    journal, pack = filled(file), SlowPack(b"s" * size)
    journal.compact(pack, journal[1], journal[2])
    assert pack.begun.wait(PATIENCE)
    assert journal.compacting()
    journal.setCurrentTerm(4, "c")
    journal.add(b"command 5", 5, 4)
    assert [entry[1] for entry in journal[:]] == [1, 2, 3, 4, 5]
    assert facts(opened(MemoryStorage(file.read()))) == facts(journal)  # what a crash now would leave
    pack.goes_on.set()
    until_compacted(journal)
    journal.add(b"command 6", 6, 4)
    for seen in (journal, opened(MemoryStorage(file.read()))):
        assert [entry[1] for entry in seen[:]] == [2, 3, 4, 5, 6]
        assert (seen.getCurrentTerm(), seen.getVotedForNodeId(), seen.is_voter) == (4, "c", True)
        assert seen.snapshot is not None
        assert seen.snapshot.data == pack.data
        assert seen.bytes == len(file.read())


def test_a_leaders_snapshot_takes_the_place_of_a_compaction_under_way(file: FileStorage) -> None:
    journal, pack = filled(file), SlowPack()
    journal.compact(pack, journal[1], journal[2])
    assert pack.begun.wait(PATIENCE)
    journal.save_snapshot(b"leader's", (b"x", 90, 4), (b"y", 91, 4), keep_tail=False)
    assert not journal.compacting()
    pack.goes_on.set()
    journal.compact(lambda: b"next", journal[0], journal[1])
    until_compacted(journal)
    assert journal.snapshot is not None
    assert journal.snapshot.data == b"next"
    assert facts(opened(MemoryStorage(file.read()))) == facts(journal)


def test_a_journal_that_is_closed_leaves_no_draft(file: FileStorage, tmp_path: Path) -> None:
    journal, pack = filled(file), SlowPack()
    before = facts(journal)
    journal.compact(pack, journal[1], journal[2])
    assert pack.begun.wait(PATIENCE)
    journal.close()
    pack.goes_on.set()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["generation-1.journal", "generation-1.lock"]
    assert facts(opened(MemoryStorage(file.read()))) == before


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), MemoryError()])
def test_a_compaction_that_fails_changes_nothing_and_is_told(
    file: FileStorage, tmp_path: Path, error: Exception
) -> None:
    journal = filled(file)
    before = facts(journal)

    def fail() -> bytes:
        raise error

    with pytest.raises(JournalError, match="cannot write the journal"):  # noqa: PT012 - sooner or later
        journal.compact(fail, journal[1], journal[2])
        until_compacted(journal)
    assert not journal.compacting()
    assert facts(journal) == facts(opened(MemoryStorage(file.read()))) == before
    assert not (tmp_path / "generation-1.draft").exists()


def test_a_record_torn_at_any_byte_is_cut_off_and_the_journal_goes_on() -> None:
    storage = MemoryStorage()
    journal = filled(storage, 3)
    whole = len(storage.data)
    journal.add(b"never acknowledged", 4, 3)
    for end in range(whole, len(storage.data)):
        torn = MemoryStorage(storage.read()[:end])
        again = opened(torn)
        assert again.is_voter
        assert len(again) == 3
        again.add(b"another", 4, 3)
        assert opened(torn)[3] == (b"another", 4, 3)


def test_damage_at_any_byte_is_noticed() -> None:
    storage = MemoryStorage()
    journal = filled(storage)
    journal.save_snapshot(b"state", journal[0], journal[1], keep_tail=True)
    journal.add(b"command 5", 5, 3)
    entries = journal[:]
    for at in range(len(storage.data)):
        damaged = MemoryStorage(storage.read())
        damaged.data[at] ^= 0x10
        with structlog.testing.capture_logs() as logs:
            again = opened(damaged)
        assert not again.is_voter
        assert not again.blank
        assert again[:] == entries[: len(again)]
        assert again.getRaftCommitIndex() <= max(1, again[-1][1] if len(again) else 1)
        assert [entry["damaged_at"] for entry in logs] != []
        assert opened(damaged)[:] == again[:]  # and it is of use again


def test_a_journal_that_lost_its_beginning_is_not_mistaken_for_a_new_member() -> None:
    journal = opened(MemoryStorage(bytes(4096)))
    assert not journal.blank
    assert not journal.is_voter


# --- full and broken disks ---------------------------------------------------------------------------------


class _Disk:
    """Lets writes fail, after a part of each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.part: int | None = None
        self.errno: int | None = None
        self.truncates = True
        self._write, self._truncate = os.write, os.ftruncate
        monkeypatch.setattr(storage_module.os, "write", self.write)
        monkeypatch.setattr(storage_module.os, "ftruncate", self.truncate)

    def write(self, fd: int, data: bytes) -> int:
        if self.errno is not None:
            raise OSError(self.errno, os.strerror(self.errno))
        if self.part is None:
            return self._write(fd, data)
        if self.part == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = self._write(fd, data[: self.part])
        self.part -= written
        return written

    def truncate(self, fd: int, size: int) -> None:
        if not self.truncates:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._truncate(fd, size)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> _Disk:
    return _Disk(monkeypatch)


def _every_write(journal: Journal) -> list[Callable[[], None]]:
    journal.setRaftCommitIndex(2)
    return [
        lambda: journal.add(b"no room", 5, 3),
        lambda: journal.setCurrentTerm(9, "c"),
        lambda: journal.deleteEntriesFrom(1),
        lambda: journal.deleteEntriesTo(1),
        journal.clear,
        lambda: journal.bootstrap(b"", 9),
        lambda: journal.save_snapshot(b"", journal[0], journal[1], keep_tail=True),
        journal.onOneSecondTimer,
    ]


@pytest.mark.parametrize("part", [0, 1, 13, 20])
def test_a_full_disk_changes_nothing(part: int, disk: _Disk, tmp_path: Path) -> None:
    file = FileStorage(tmp_path / "a.journal")
    journal = filled(file)
    known, size = facts(journal), journal.bytes
    for write in _every_write(journal):
        disk.part = part
        with pytest.raises(JournalFullError, match=r"No space left on device\. Make room"):
            write()
        assert facts(journal) == known
        assert (tmp_path / "a.journal").stat().st_size == size == journal.bytes
    assert not (tmp_path / "a.tmp").exists()
    disk.part = None
    journal.add(b"there is room again", 5, 3)
    journal.close()
    file = FileStorage(tmp_path / "a.journal")
    assert opened(file)[-1] == (b"there is room again", 5, 3)
    file.close()


def test_a_torn_write_that_cannot_be_taken_back_ends_all_writing(disk: _Disk, tmp_path: Path) -> None:
    file = FileStorage(tmp_path / "a.journal")
    journal = filled(file)
    disk.part, disk.truncates = 5, False
    with pytest.raises(JournalFullError):
        journal.add(b"torn", 5, 3)
    disk.part, disk.truncates = None, True
    with pytest.raises(JournalError, match="could not be taken back"):
        journal.add(b"would never be found again", 5, 3)
    journal.deleteEntriesTo(1)  # a new file has no torn end
    journal.add(b"found", 5, 3)
    journal.close()
    file = FileStorage(tmp_path / "a.journal")
    assert [entry[1] for entry in opened(file)[:]] == [2, 3, 4, 5]
    file.close()


def test_a_broken_disk_is_no_full_disk(disk: _Disk, tmp_path: Path) -> None:
    file = FileStorage(tmp_path / "a.journal")
    journal = filled(file)
    disk.errno = errno.EIO
    with pytest.raises(JournalError, match="cannot write the journal of north/1/a: Input/output error") as raised:
        journal.add(b"x", 5, 3)
    assert not isinstance(raised.value, JournalFullError)
    file.close()


# --- files -------------------------------------------------------------------------------------------------


def _open_files(folder: Path) -> int:
    """Descriptors of a folder's files; threads of other tests may open and close what they like."""
    found = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found += descriptor.readlink().is_relative_to(folder)
    return found


def test_a_file_belongs_to_one_process(tmp_path: Path) -> None:
    first = FileStorage(tmp_path / "a.journal")
    descriptors = _open_files(tmp_path)
    with pytest.raises(JournalError, match="is in use by another process: give each process its own data folder"):
        FileStorage(tmp_path / "a.journal")
    assert _open_files(tmp_path) == descriptors
    first.replace(b"the lock outlives the file that it protects")
    with pytest.raises(JournalError, match="in use"):
        FileStorage(tmp_path / "a.journal")
    first.close()
    FileStorage(tmp_path / "a.journal").close()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=r"cannot open the journal .*missing/a.journal: No such file"):
        FileStorage(tmp_path / "missing" / "a.journal")


def test_cleans_up_after_a_killed_run(tmp_path: Path) -> None:
    (tmp_path / "a.tmp").write_bytes(b"half a compaction")
    FileStorage(tmp_path / "a.journal").close()
    assert not (tmp_path / "a.tmp").exists()


def test_the_machine_has_a_boot_id() -> None:
    assert boot_id() == boot_id() != ""
