"""A backup gets its name when it is complete; a full disk is reported with a sentence."""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from pairsim.client import BackupSummary, ProcessClient, Unavailable
from pairsim_controller.reconcile.backup_folder import BackupError, BackupFolder

PIECES = (gzip.compress(b"one\n"), gzip.compress(b"two\n"))


class Source:
    """The client of an active that is backed up."""

    def __init__(self, *, breaks: bool = False, hangs: bool = False) -> None:
        self.breaks, self.hangs, self.reached = breaks, hangs, asyncio.Event()

    async def backup(self, _area: str, save: Callable[[bytes], Awaitable[None]], *, seconds: float) -> BackupSummary:
        assert seconds > 0
        for piece in PIECES:
            await save(piece)
            self.reached.set()
            if self.hangs:
                await asyncio.Event().wait()
            if self.breaks:
                raise Unavailable("the connection broke")
        return BackupSummary(tick=12, entities=2)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def client(source: Source) -> ProcessClient:
    return cast("ProcessClient", source)


async def test_a_backup_is_named_after_its_area_time_and_tick(tmp_path: Path) -> None:
    folder = BackupFolder(tmp_path / "made" / "here")
    name = await folder.write(client(Source()), "west")
    assert re.fullmatch(r"west-\d{8}T\d{6}Z-tick-12\.jsonl\.gz", name)
    assert gzip.decompress((folder.path / name).read_bytes()) == b"one\ntwo\n"
    assert names(folder.path) == {name}


async def test_a_failed_backup_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        await BackupFolder(tmp_path).write(client(Source(breaks=True)), "west")
    assert names(tmp_path) == set()


async def test_a_cancelled_backup_leaves_nothing(tmp_path: Path) -> None:
    source = Source(hangs=True)
    task = asyncio.create_task(BackupFolder(tmp_path).write(client(source), "west"))
    await source.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert names(tmp_path) == set()


async def test_leftovers_of_the_same_area_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".west.abc.part").touch()
    (tmp_path / ".west-2.abc.part").touch()
    (tmp_path / "west-old.jsonl.gz").touch()
    name = await BackupFolder(tmp_path).write(client(Source()), "west")
    assert names(tmp_path) == {name, ".west-2.abc.part", "west-old.jsonl.gz"}


async def test_an_unusable_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BackupError, match=r"cannot write into .*file"):
        await BackupFolder(tmp_path / "file" / "below").write(client(Source()), "west")


async def test_a_full_disk_is_reported_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_number: int, _mode: str) -> BinaryIO:
        return Path("/dev/full").open("wb", buffering=0)

    monkeypatch.setattr("os.fdopen", full)
    with pytest.raises(BackupError, match=r"cannot write .*No space left on device"):
        await BackupFolder(tmp_path).write(client(Source()), "west")
    assert names(tmp_path) == set()
