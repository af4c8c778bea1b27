"""Where a journal's bytes live: one file, only ever appended to or replaced as a whole.

The seam between what a journal means and what a disk may do to it. Either operation is all or nothing for whoever
reads afterwards, or the storage refuses everything from then on: half a record must never be followed by a whole
one, because a reader stops at the half.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from pathlib import Path
from typing import Protocol


class JournalError(Exception):
    """The journal cannot be read or written; a sentence for the operator."""


class JournalFullError(JournalError):
    """The disk has no room for what must be written."""


class Storage(Protocol):
    """One file, appended to or replaced as a whole."""

    def read(self) -> bytes:
        """All of it; empty if there is none. Raises OSError."""

    def append(self, data: bytes) -> None:
        """Adds bytes at the end, all or none. Raises OSError."""

    def replace(self, data: bytes) -> None:
        """Puts other content in place, atomically. Raises OSError."""

    def close(self) -> None:
        """Lets another process open it."""


class FileStorage:
    """A file that one process at a time may open.

    A lock file beside it, never deleted by the storage, carries the lock: the file itself is renamed over.
    """

    def __init__(self, path: Path) -> None:
        """Opens or creates it.

        Raises:
            JournalError: Another process has it, or it cannot be opened.
        """
        self._path = path
        self._temporary = path.with_suffix(".tmp")
        self._torn = False
        self._lock = self._file = -1
        try:
            self._lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._temporary.unlink(missing_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            self.close()
            if isinstance(error, BlockingIOError):
                reason = f"{path} is in use by another process: give each process its own data folder"
            else:
                reason = f"cannot open the journal {path}: {error.strerror}"
            raise JournalError(reason) from error
        self._size = os.fstat(self._file).st_size

    def read(self) -> bytes:
        """See `Storage`."""
        return self._path.read_bytes()

    def append(self, data: bytes) -> None:
        """See `Storage`."""
        if self._torn:
            raise OSError(errno.EIO, "an earlier write was torn and could not be taken back", str(self._path))
        try:
            written = os.write(self._file, data)
        except OSError:
            self._take_back()
            raise
        if written != len(data):
            self._take_back()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
        self._size += written

    def _take_back(self) -> None:
        try:
            os.ftruncate(self._file, self._size)
        except OSError:
            self._torn = True

    def replace(self, data: bytes) -> None:
        """See `Storage`."""
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        file = os.open(self._temporary, flags, 0o600)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(file, view) :]
            self._temporary.replace(self._path)
        except OSError:
            os.close(file)
            with contextlib.suppress(OSError):
                self._temporary.unlink()  # gives the room back to those who need it
            raise
        os.close(self._file)
        self._file, self._size, self._torn = file, len(data), False

    def close(self) -> None:
        """See `Storage`."""
        for fd in (self._file, self._lock):
            if fd >= 0:
                os.close(fd)
        self._file = self._lock = -1


class MemoryStorage:
    """A file in memory, for simulations: it outlives the journal that is opened on it."""

    def __init__(self, data: bytes = b"") -> None:
        """Starts with content."""
        self.data = bytearray(data)

    def read(self) -> bytes:
        """See `Storage`."""
        return bytes(self.data)

    def append(self, data: bytes) -> None:
        """See `Storage`."""
        self.data += data

    def replace(self, data: bytes) -> None:
        """See `Storage`."""
        self.data = bytearray(data)

    def close(self) -> None:
        """See `Storage`."""
