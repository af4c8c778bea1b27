"""Where the state of an area goes before the area is let go: a folder with one file a backup.

A file has its name only when it is whole and on disk. None is ever deleted here: whoever set the folder up decides
how long they are kept.
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

SECONDS = 600.0
"""The longest that a backup may take."""

_PART, _MODE = ".part", 0o640


class BackupError(Exception):
    """A backup could not be written; a sentence for the operator."""


class BackupFolder:
    """One folder."""

    def __init__(self, path: Path) -> None:
        """It is made at the first backup."""
        self.path = path

    async def take(self, client: ProcessClient, area: str) -> str:
        """Writes what one process has of an area; the file's name.

        Raises:
            BackupError: It could not be written.
            ClientError: The process did not give all of it.
        """
        part = await asyncio.to_thread(self._begin, area)
        try:
            made = await client.backup(area, part.add, seconds=SECONDS)
            moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
            name = f"{area}-{moment}-tick-{made.tick}.jsonl.gz"
            await asyncio.to_thread(part.finish, self.path / name)
        finally:
            await asyncio.to_thread(part.close)
        log.info("backed up", area=area, file=name, tick=made.tick, entities=made.entities)
        return name

    def _begin(self, area: str) -> _Part:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for leftover in self.path.glob(f".{area}.*{_PART}"):
                leftover.unlink(missing_ok=True)  # of a controller that was killed
            number, name = tempfile.mkstemp(dir=self.path, prefix=f".{area}.", suffix=_PART)
            os.fchmod(number, _MODE)
        except OSError as error:
            raise BackupError(f"cannot write into {self.path}: {error.strerror}") from error
        return _Part(Path(name), os.fdopen(number, "wb"))


class _Part:
    """A file that is not whole yet."""

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
        with contextlib.suppress(OSError):  # what is here is thrown away
            self._file.close()
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _failed(self, error: OSError) -> BackupError:
        return BackupError(f"cannot write {self._path}: {error.strerror}")
