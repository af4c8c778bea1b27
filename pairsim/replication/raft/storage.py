"""Where a journal's bytes live: one file, only ever appended to or replaced as a whole.

The seam between what a journal means and what a disk may do to it. Either operation is all or nothing for whoever
reads afterwards, or the storage refuses everything from then on: half a record must never be followed by a whole
one, because a reader stops at the half.

What is so large that it takes long is a *draft* first: a thread writes it to another file, while appending goes on.
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

_MORE = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
_ANEW = _MORE | os.O_CREAT | os.O_TRUNC


class JournalError(Exception):
    """The journal cannot be read or written; a sentence for the operator."""


class JournalFullError(JournalError):
    """The disk has no room for what must be written."""


class Draft(Protocol):
    """The beginning of other content, on its way to the disk."""

    def written(self) -> bool:
        """Whether it is there. Raises OSError if it never will be. Never blocks."""

    def finish(self, rest: bytes) -> int:
        """Adds the rest and puts all of it in place, atomically; its size. Raises OSError, then nothing has changed."""

    def discard(self) -> None:
        """Takes it back. Never blocks."""


class Storage(Protocol):
    """One file, appended to or replaced as a whole."""

    def read(self) -> bytes:
        """All of it; empty if there is none. Raises OSError."""

    def append(self, data: bytes) -> None:
        """Adds bytes at the end, all or none. Raises OSError."""

    def replace(self, data: bytes) -> None:
        """Puts other content in place, atomically. Raises OSError."""

    def draft(self, content: Iterable[bytes | memoryview]) -> Draft:
        """Begins to write other content, which is made beside, too; what is there goes on. Raises OSError."""

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
        self._temporary, self._draft = path.with_suffix(".tmp"), path.with_suffix(".draft")
        self._torn = False
        self._lock = self._file = -1
        try:
            self._lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._temporary.unlink(missing_ok=True)
            self._draft.unlink(missing_ok=True)
            self._file = os.open(path, _MORE | os.O_CREAT, 0o600)
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
        self._put(self._temporary, os.open(self._temporary, _ANEW, 0o600), data)

    def draft(self, content: Iterable[bytes | memoryview]) -> Draft:
        """See `Storage`."""
        return _FileDraft(self._draft, content, self._put)

    def _put(self, path: Path, file: int, data: bytes) -> int:
        """Adds to an open file and takes it in place of what is there."""
        try:
            _write(file, data)
            size = os.fstat(file).st_size
            path.replace(self._path)
        except OSError:
            os.close(file)
            with contextlib.suppress(OSError):
                path.unlink()  # gives the room back to those who need it
            raise
        # Nobody can open the old file any more, so that to close it is to free its blocks: slow if it is large.
        threading.Thread(target=os.close, args=(self._file,), name="compaction-end", daemon=True).start()
        self._file, self._size, self._torn = file, size, False
        return size

    def close(self) -> None:
        """See `Storage`."""
        for fd in (self._file, self._lock):
            if fd >= 0:
                os.close(fd)
        self._file = self._lock = -1


class _FileDraft:
    """Its thread has a descriptor of its own, so that nobody has to wait for it."""

    def __init__(
        self, path: Path, content: Iterable[bytes | memoryview], put: Callable[[Path, int, bytes], int]
    ) -> None:
        self._path, self._put = path, put
        self._stop = threading.Event()
        self._failure: OSError | None = OSError(errno.EIO, "a draft was not written to its end", str(path))
        file = os.open(path, _ANEW | os.O_EXCL, 0o600)
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

    def written(self) -> bool:
        if self._thread.is_alive():
            return False
        if self._failure is not None:
            self.discard()
            raise self._failure
        return True

    def finish(self, rest: bytes) -> int:
        return self._put(self._path, os.open(self._path, _MORE), rest)

    def discard(self) -> None:
        self._stop.set()
        with contextlib.suppress(OSError):
            self._path.unlink()


def _write(file: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


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

    def draft(self, content: Iterable[bytes | memoryview]) -> Draft:
        """See `Storage`; written at once."""
        return _MemoryDraft(self, b"".join(content))

    def close(self) -> None:
        """See `Storage`."""


class _MemoryDraft:
    def __init__(self, storage: MemoryStorage, data: bytes) -> None:
        self._storage, self._data = storage, data

    def written(self) -> bool:
        return True

    def finish(self, rest: bytes) -> int:
        self._storage.replace(self._data + rest)
        return len(self._data) + len(rest)

    def discard(self) -> None: ...
