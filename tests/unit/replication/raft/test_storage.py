"""The file of a journal on full and broken disks, and its lock."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pairsim.replication.raft import storage as storage_module
from pairsim.replication.raft.journal import Journal
from pairsim.replication.raft.storage import FileStorage, JournalError, JournalFullError
from tests.unit.replication.raft.journals import facts, filled, opened


class _Disk:
    """A disk whose writes fail after a part of each."""

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


def test_a_torn_write_that_cannot_be_cut_off_ends_all_writing(disk: _Disk, tmp_path: Path) -> None:
    file = FileStorage(tmp_path / "a.journal")
    journal = filled(file)
    disk.part, disk.truncates = 5, False
    with pytest.raises(JournalFullError):
        journal.add(b"torn", 5, 3)
    disk.part, disk.truncates = None, True
    with pytest.raises(JournalError, match="could not be taken back"):
        journal.add(b"would never be found again", 5, 3)
    journal.deleteEntriesTo(1)  # a new file does not have the torn end
    journal.add(b"found", 5, 3)
    journal.close()
    file = FileStorage(tmp_path / "a.journal")
    assert [entry[1] for entry in opened(file)[:]] == [2, 3, 4, 5]
    file.close()


def test_a_broken_disk_is_not_reported_as_full(disk: _Disk, tmp_path: Path) -> None:
    file = FileStorage(tmp_path / "a.journal")
    journal = filled(file)
    disk.errno = errno.EIO
    with pytest.raises(JournalError, match="cannot write the journal of north/1/a: Input/output error") as raised:
        journal.add(b"x", 5, 3)
    assert not isinstance(raised.value, JournalFullError)
    file.close()


def _open_files(folder: Path) -> int:
    """Returns how many descriptors refer to files of the folder; other threads may open and close other files."""
    found = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found += descriptor.readlink().is_relative_to(folder)
    return found


def test_only_one_process_can_open_a_file(tmp_path: Path) -> None:
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


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=r"cannot open the journal .*missing/a.journal: No such file"):
        FileStorage(tmp_path / "missing" / "a.journal")


def test_the_rest_of_a_killed_compaction_is_removed(tmp_path: Path) -> None:
    (tmp_path / "a.tmp").write_bytes(b"half a compaction")
    FileStorage(tmp_path / "a.journal").close()
    assert not (tmp_path / "a.tmp").exists()
