"""A disk is full: the process on it ends with an error, and the others continue."""

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
from tests.harness import RunningPair
from tests.process.leftovers import MINE, run, unmount_left_overs
from tests.process.shared_pairs import SharedPair, role_of
from tests.process.traffic import under_traffic

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")]

_SIZE = "4m"
_BLOCK = bytes(4096)


@contextmanager
def small_disks(folders: list[Path]) -> Iterator[None]:
    """Mounts disks of a few MB at these folders."""
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
async def on_small_disks(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SharedPair]:
    """A shared pair with its witness, each on its own small disk."""
    with ExitStack() as disks:

        def folder() -> Path:
            path = tmp_path_factory.mktemp("small")
            disks.enter_context(small_disks([path / name for name in ("a", "b", "w")]))
            return path

        shared_pair = SharedPair(folder)
        yield shared_pair
        await shared_pair.close()


@pytest_asyncio.fixture(loop_scope="session")
async def small(on_small_disks: SharedPair) -> AsyncIterator[RunningPair]:
    """The pair on small disks, redundant."""
    async with on_small_disks.borrow() as pair:
        yield pair


@pytest.mark.parametrize("victim", ["active", "passive", "witness"])
async def test_a_process_on_a_full_disk_ends_with_an_error(small: RunningPair, victim: str) -> None:
    async with under_traffic(small) as traffic:
        active, passive = await small.wait_until_redundant()
        node = {"active": active, "passive": passive, "witness": small.nodes["w"]}[victim]
        ballast = fill(node.folder)
        assert node.process is not None
        assert await asyncio.to_thread(node.process.wait, 20) == 70
        assert (
            "No space left on device. Make room under the data folder and start this process again"
            in node.log()[node.log_start :]
        )
        await traffic.wait_for_progress()
        if victim != "witness":
            assert await role_of(passive if victim == "active" else active) is Role.ACTIVE
        ballast.unlink()
        node.start()


def fill(folder: Path) -> Path:
    """Fills the disk completely."""
    path = folder / "ballast"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(_BLOCK)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
    return path
