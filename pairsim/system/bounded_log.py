"""A log file that stays short while other processes write to it.

The writers have the file open for appending (`O_APPEND`), so the file can be emptied under them: their next line is the
first of the file. What it held is copied to a second file before, which replaces that of the time before. Nothing ever
waits for a reader, and the writers need not know of this.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

MAX_BYTES = 8 * 2**20
"""The length above which a log is cut, and the most that is kept of it then."""

_COPY_BYTES = 2**20
_MAX_COPIES = 100
"""How often lines that were written during the copy are copied too, before the file is emptied in any case."""


class BoundedLog:
    """A log of two files: the newest lines, and the lines before them.

    Attributes:
        path: The file with the newest lines.
        older: The file with the lines before.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.older = path, path.with_name(f"{path.name}.1")

    def open(self) -> BinaryIO:
        """Opens the log for a process that appends to it. Raises OSError."""
        return self.path.open("ab")

    def is_long(self) -> bool:
        """Returns whether the log has to be cut."""
        try:
            return self.path.stat().st_size > MAX_BYTES
        except OSError:
            return False

    def cut(self) -> None:
        """Moves the content to the older file; on a full disk the content is lost, since the log must not grow on.

        A line that is written in the microseconds between the last copy and the cut is lost.

        Raises:
            OSError: The log cannot be changed.
        """
        with self.path.open("r+b") as log:
            try:
                self._copy(log)
            except OSError:
                self.older.unlink(missing_ok=True)
            log.truncate(0)

    def _copy(self, log: BinaryIO) -> None:
        begin = max(0, os.fstat(log.fileno()).st_size - MAX_BYTES)
        log.seek(begin)
        with self.older.open("wb", buffering=0) as older:
            for _ in range(MAX_BYTES // _COPY_BYTES + _MAX_COPIES):
                part = os.read(log.fileno(), _COPY_BYTES)
                if not part:
                    return
                older.write(part)

    def tail(self, size: int) -> bytes:
        """Returns at most `size` bytes from the end of the newest file that has any; empty without one."""
        for path in (self.path, self.older):
            try:
                with path.open("rb") as file:
                    file.seek(max(0, file.seek(0, os.SEEK_END) - size))
                    if content := file.read(size):
                        return content
            except OSError:
                continue
        return b""
