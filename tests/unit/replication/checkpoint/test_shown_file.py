"""The number of the newest shown tick survives its process, and a full disk is an error when the file is made."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pairsim.replication.checkpoint.shown_file import FILE, ShownTickFile


def test_the_number_is_there_for_the_next_process(tmp_path: Path) -> None:
    file = ShownTickFile(tmp_path)
    assert file.tick == 0
    file.tick = 2**40
    assert ShownTickFile(tmp_path).tick == 2**40


def test_a_file_that_was_cut_short_begins_with_zero(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"abc")
    assert ShownTickFile(tmp_path).tick == 0


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system without a free page."""
    folder = tmp_path / "full"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(folder)]
    made = subprocess.run(mount, capture_output=True, text=True, timeout=20, check=False)
    if made.returncode:
        pytest.skip(made.stderr.strip())
    try:
        (folder / "other").write_bytes(bytes(4096))
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True, timeout=20)


@pytest.mark.root
def test_a_full_disk_is_an_error_and_not_a_signal(full_disk: Path) -> None:
    with pytest.raises(OSError, match="No space left"):
        ShownTickFile(full_disk)


@pytest.mark.root
def test_a_disk_that_fills_up_later_takes_the_number(full_disk: Path) -> None:
    (full_disk / "other").unlink()
    file = ShownTickFile(full_disk)
    for number in range(3):
        try:
            (full_disk / f"other-{number}").write_bytes(bytes(4096))
        except OSError:
            break
    file.tick = 7
    assert ShownTickFile(full_disk).tick == 7
