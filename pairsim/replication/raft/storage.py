"""Where the bytes of a journal live: one file that is appended to, or replaced as a whole.

`Storage` is the interface between what a journal means and what a disk may do to its bytes. Every operation is all or
nothing for a later reader. If a disk breaks this rule, the storage refuses every further append: a whole record must
never follow half a record, because a reader stops at the half.

Content that is so large that writing it takes long becomes a *pending file* first: a thread writes it to a second
file, while appends to the current file continue.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

_APPEND = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
_CREATE = _APPEND | os.O_CREAT | os.O_TRUNC


class JournalError(Exception):
    """The journal cannot be read or written; the text is a sentence for the operator."""


class JournalFullError(JournalError):
    """The disk has no room for what must be written."""


class PendingFile(Protocol):
    """The beginning of new content that is being written beside the current file."""

    def is_written(self) -> bool:
        """Returns whether the beginning is on disk. Never blocks.

        Raises:
            OSError: It cannot be written; the pending file is discarded.
        """

    def finish(self, rest: bytes) -> int:
        """Appends the rest and replaces the current file atomically; returns the new size in bytes.

        Raises:
            OSError: The current file is unchanged.
        """

    def discard(self) -> None:
        """Stops writing and deletes the pending file. Never blocks."""


class Storage(Protocol):
    """One file that is appended to, or replaced as a whole."""

    def read(self) -> bytes:
        """Returns the whole content; empty if the file is new. Raises OSError."""

    def append(self, data: bytes) -> None:
        """Appends all of the bytes, or none and raises OSError."""

    def replace(self, data: bytes) -> None:
        """Replaces the content atomically, or raises OSError and changes nothing."""

    def begin_replace(self, content: Iterable[bytes | memoryview]) -> PendingFile:
        """Starts writing new content to a second file in the background; appends to the current file continue.

        The content is produced in the background, too. Raises OSError.
        """

    def close(self) -> None:
        """Releases the file, so that another process can open it."""


class FileStorage:
    """A file that only one process can open at a time.

    The lock is held on a second file beside it, which the storage never deletes: the file itself is renamed over.
    """

    def __init__(self, path: Path) -> None:
        """Opens the file, or creates it.

        Raises:
            JournalError: Another process has opened it, or it cannot be opened.
        """
        self._path = path
        self._temporary, self._pending = path.with_suffix(".tmp"), path.with_suffix(".draft")
        self._torn = False
        self._lock = self._file = -1
        try:
            self._lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._temporary.unlink(missing_ok=True)
            self._pending.unlink(missing_ok=True)
            self._file = os.open(path, _APPEND | os.O_CREAT, 0o600)
        except OSError as error:
            self.close()
            if isinstance(error, BlockingIOError):
                reason = f"{path} is in use by another process: give each process its own data folder"
            else:
                reason = f"cannot open the journal {path}: {error.strerror}"
            raise JournalError(reason) from error
        self._size = os.fstat(self._file).st_size

    def read(self) -> bytes:
        """Returns the whole content of the file."""
        return self._path.read_bytes()

    def append(self, data: bytes) -> None:
        """Appends the bytes with one write; a torn write is cut off again."""
        if self._torn:
            raise OSError(errno.EIO, "an earlier write was torn and could not be taken back", str(self._path))
        try:
            written = os.write(self._file, data)
        except OSError:
            self._cut_torn_write()
            raise
        if written != len(data):
            self._cut_torn_write()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
        self._size += written

    def _cut_torn_write(self) -> None:
        try:
            os.ftruncate(self._file, self._size)
        except OSError:
            self._torn = True

    def replace(self, data: bytes) -> None:
        """Writes the content to a temporary file and renames it over the file."""
        self._install(self._temporary, os.open(self._temporary, _CREATE, 0o600), data)

    def begin_replace(self, content: Iterable[bytes | memoryview]) -> PendingFile:
        """Starts a thread that writes the content to a second file."""
        return _PendingDiskFile(self._pending, content, self._install)

    def _install(self, path: Path, file: int, data: bytes) -> int:
        """Appends to an open file and renames it over the current one; returns its size in bytes."""
        try:
            _write(file, data)
            size = os.fstat(file).st_size
            path.replace(self._path)
        except OSError:
            os.close(file)
            with contextlib.suppress(OSError):
                path.unlink()  # gives the disk's room back to those who need it
            raise
        # The old file has lost its name, so closing it frees its blocks: that is slow if the file is large.
        threading.Thread(target=os.close, args=(self._file,), name="compaction-end", daemon=True).start()
        self._file, self._size, self._torn = file, size, False
        return size

    def close(self) -> None:
        """Closes the file and releases its lock."""
        for fd in (self._file, self._lock):
            if fd >= 0:
                os.close(fd)
        self._file = self._lock = -1


class _PendingDiskFile:
    """A pending file that a thread writes; the thread has its own descriptor, so that `discard` need not wait."""

    def __init__(
        self, path: Path, content: Iterable[bytes | memoryview], install: Callable[[Path, int, bytes], int]
    ) -> None:
        self._path, self._install = path, install
        self._stop = threading.Event()
        self._failure: OSError | None = OSError(errno.EIO, "the pending file was not written to its end", str(path))
        file = os.open(path, _CREATE | os.O_EXCL, 0o600)
        self._thread = threading.Thread(target=self._run, args=(file, content), name="compaction", daemon=True)
        self._thread.start()

    def _run(self, file: int, content: Iterable[bytes | memoryview]) -> None:
        try:
            for part in content:
                _write(file, part)
                if self._stop.is_set():
                    return
            self._failure = None
        except OSError as error:
            self._failure = error
        finally:
            os.close(file)

    def is_written(self) -> bool:
        if self._thread.is_alive():
            return False
        if self._failure is not None:
            self.discard()
            raise self._failure
        return True

    def finish(self, rest: bytes) -> int:
        return self._install(self._path, os.open(self._path, _APPEND), rest)

    def discard(self) -> None:
        self._stop.set()
        with contextlib.suppress(OSError):
            self._path.unlink()


def _write(file: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


class MemoryStorage:
    """A file in memory, for simulations; it outlives the journal that is opened on it."""

    def __init__(self, data: bytes = b"") -> None:
        """Starts with the given content."""
        self.data = bytearray(data)

    def read(self) -> bytes:
        """Returns the whole content."""
        return bytes(self.data)

    def append(self, data: bytes) -> None:
        """Appends the bytes."""
        self.data += data

    def replace(self, data: bytes) -> None:
        """Replaces the content."""
        self.data = bytearray(data)

    def begin_replace(self, content: Iterable[bytes | memoryview]) -> PendingFile:
        """Produces the content at once and returns it as a pending file."""
        return _PendingMemoryFile(self, b"".join(content))

    def close(self) -> None:
        """Does nothing: the content stays for the next journal."""


class _PendingMemoryFile:
    """A pending file in memory, which is written from the start."""

    def __init__(self, storage: MemoryStorage, data: bytes) -> None:
        self._storage, self._data = storage, data

    def is_written(self) -> bool:
        return True

    def finish(self, rest: bytes) -> int:
        self._storage.replace(self._data + rest)
        return len(self._data) + len(rest)

    def discard(self) -> None: ...
