"""The history on disk, so that the timeline goes on after a restart: a small file of JSON lines, and one older part.

The file is a convenience, not a record: entries are appended without waiting for the disk, a line that cannot be read
is skipped, and a full disk costs entries and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import structlog

from pairsim_controller.story.entry import HistoryEntry
from pairsim_controller.story.history import MAX_ENTRIES

log = structlog.get_logger()

MAX_FILE_BYTES = 256 * 1024
"""The size at which the file becomes the older part, in place of the one before."""


class HistoryFile:
    """The file of one world; `write` is a reader of its history."""

    def __init__(self, path: Path) -> None:
        """Keeps the history at `path`, and the older part beside it."""
        self._path, self._older = path, path.with_name(f"{path.stem}.1{path.suffix}")
        self._failed = False

    def read(self) -> list[HistoryEntry]:
        """Returns the newest entries that can be read, oldest first."""
        entries: list[HistoryEntry] = []
        for path in (self._older, self._path):
            for entry in _entries(_tail(path)):
                if not entries or entry.number > entries[-1].number:
                    entries.append(entry)
        return entries[-MAX_ENTRIES:]

    def write(self, entry: HistoryEntry) -> None:
        """Appends an entry; reports the first failure in a row in the log."""
        try:
            self._append(msgspec.json.encode(entry) + b"\n")
        except OSError as error:
            if not self._failed:
                log.warning("the history is not kept", file=str(self._path), reason=error.strerror)
            self._failed = True
        else:
            self._failed = False

    def _append(self, line: bytes) -> None:
        with self._path.open("ab+") as file:
            size = file.seek(0, os.SEEK_END)
            if size and _last_byte(file.fileno(), size) != b"\n":
                line = b"\n" + line  # a line that was cut off must not spoil this one
            file.write(line)
        if size + len(line) >= MAX_FILE_BYTES:
            self._path.replace(self._older)


def _last_byte(number: int, size: int) -> bytes:
    return os.pread(number, 1, size - 1)


def _tail(path: Path) -> bytes:
    """Returns the end of a file; nothing if it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 2 * MAX_FILE_BYTES))
            return file.read()
    except OSError:
        return b""


def _entries(content: bytes) -> Iterator[HistoryEntry]:
    for line in content.splitlines():
        try:
            yield msgspec.json.decode(line, type=HistoryEntry)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
