"""A disk without room: the member on it ends and says why, the others go on."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from pairsim.model.status import Role
from tests.harness import Trio
from tests.process.leftovers import MINE, run, unmount_left_overs
from tests.process.traffic import flowing
from tests.process.trios import Shared, role_of

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")]

_SIZE = "4m"
_BLOCK = bytes(4096)


@contextmanager
def small_disks(folders: list[Path]) -> Iterator[None]:
    """Disks of a few MB at these places."""
    unmount_left_overs()
    mounted: list[Path] = []
    try:
        for folder in folders:
            folder.mkdir(parents=True)
            try:
                run("mount", "-t", "tmpfs", "-o", f"size={_SIZE}", MINE, str(folder))
            except (OSError, subprocess.CalledProcessError) as error:
                pytest.skip(f"a small disk cannot be mounted here: {getattr(error, 'stderr', error)}")
            mounted.append(folder)
        yield
    finally:
        for folder in mounted:
            run("umount", "--lazy", str(folder))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def on_small_disks(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shared]:
    """A pair with its witness, each on a small disk of its own."""
    with ExitStack() as disks:

        def folder() -> Path:
            path = tmp_path_factory.mktemp("small")
            disks.enter_context(small_disks([path / name for name in ("a", "b", "w")]))
            return path

        shared = Shared(folder)
        yield shared
        await shared.close()


@pytest_asyncio.fixture(loop_scope="session")
async def small(on_small_disks: Shared) -> AsyncIterator[Trio]:
    """The same, redundant."""
    async with on_small_disks.lent() as trio:
        yield trio


@pytest.mark.parametrize("victim", ["active", "passive", "witness"])
async def test_a_member_without_room_on_its_disk_ends_with_a_sentence(small: Trio, victim: str) -> None:
    async with flowing(small) as traffic:
        active, passive = await small.redundant()
        node = {"active": active, "passive": passive, "witness": small.nodes["w"]}[victim]
        ballast = fill(node.folder)
        assert node.process is not None
        assert await asyncio.to_thread(node.process.wait, 20) == 70
        assert (
            "No space left on device. Make room under the data folder and start this process again"
            in node.log()[node.said :]
        )
        await traffic.moved_on()
        if victim != "witness":
            assert await role_of(passive if victim == "active" else active) is Role.ACTIVE
        ballast.unlink()
        node.start()


def fill(folder: Path) -> Path:
    """Takes all the room that there is."""
    path = folder / "ballast"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(_BLOCK)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
    return path
