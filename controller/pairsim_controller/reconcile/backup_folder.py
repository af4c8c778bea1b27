"""The folder that keeps the last state of released areas, one file for each backup.

A file gets its final name only when it is complete and on disk. Backups are never deleted here: the operator who set
the folder up decides how long they are kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import time
from pathlib import Path
from typing import BinaryIO

import structlog

from pairsim.client import ProcessClient

log = structlog.get_logger()

BACKUP_SECONDS = 600.0
"""The longest time that a backup may take."""

_PARTIAL_SUFFIX, _MODE = ".part", 0o640


class BackupError(Exception):
    """A backup could not be written; the text is a sentence for the operator."""


class BackupFolder:
    """A folder with backups; it is created with the first of them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def write(self, client: ProcessClient, area: str) -> str:
        """Writes the state that one process has of an area; returns the name of the file.

        Raises:
            BackupError: The file could not be written.
            ClientError: The process did not send all of the state.
        """
        partial = await asyncio.to_thread(self._create, area)
        try:
            made = await client.backup(area, partial.add, seconds=BACKUP_SECONDS)
            moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
            name = f"{area}-{moment}-tick-{made.tick}.jsonl.gz"
            await asyncio.to_thread(partial.finish, self.path / name)
        finally:
            await asyncio.to_thread(partial.close)
        log.info("backed up", area=area, file=name, tick=made.tick, entities=made.entities)
        return name

    def _create(self, area: str) -> _PartialFile:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for leftover in self.path.glob(f".{area}.*{_PARTIAL_SUFFIX}"):
                leftover.unlink(missing_ok=True)  # a controller that was killed left it
            number, name = tempfile.mkstemp(dir=self.path, prefix=f".{area}.", suffix=_PARTIAL_SUFFIX)
            os.fchmod(number, _MODE)
        except OSError as error:
            raise BackupError(f"cannot write into {self.path}: {error.strerror}") from error
        return _PartialFile(Path(name), os.fdopen(number, "wb"))


class _PartialFile:
    """A backup that is not complete yet."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path, self._file = path, file

    async def add(self, piece: bytes) -> None:
        try:
            await asyncio.to_thread(self._file.write, piece)
        except OSError as error:
            raise self._failed(error) from error

    def finish(self, to: Path) -> None:
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._path.replace(to)
            folder = os.open(to.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise self._failed(error) from error

    def close(self) -> None:
        with contextlib.suppress(OSError):  # the content of an unfinished file is discarded
            self._file.close()
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _failed(self, error: OSError) -> BackupError:
        return BackupError(f"cannot write {self._path}: {error.strerror}")
