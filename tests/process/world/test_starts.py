"""A start fails with a clear error: disks, ports, folders."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness import SECRET, TOKEN, free_ports
from tests.process.leftovers import MINE, run, unmount_left_overs
from tests.process.world.running_worlds import PAIRSIM, ROOT, WORLD, command

mounting = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")


@contextmanager
def disk(folder: Path, options: str) -> Iterator[Path]:
    """Mounts a small disk at a folder."""
    unmount_left_overs()
    folder.mkdir()
    try:
        run("mount", "-t", "tmpfs", "-o", options, MINE, str(folder))
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a small disk cannot be mounted here: {getattr(error, 'stderr', error)}")
    try:
        yield folder
    finally:
        run("umount", "--lazy", str(folder))


def run_up(folder: Path, data: Path) -> subprocess.CompletedProcess[str]:
    (folder / "world.yaml").write_text(WORLD)
    return command("up", str(folder / "world.yaml"), "--data", str(data), "--port", str(free_ports(1)[0]))


@pytest.mark.root
@mounting
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("size=4k", "cannot use the data folder {data}: No space left on device"),
        ("size=8k", "cannot start the world: No space left on device"),
        ("ro", "cannot use the data folder {data}: Read-only file system"),
    ],
)
def test_a_disk_that_cannot_be_written_is_reported(tmp_path: Path, options: str, sentence: str) -> None:
    with disk(tmp_path / "disk", options) as data:
        done = run_up(tmp_path, data)
    assert done.returncode == 1
    assert done.stderr == f"Error: {sentence.format(data=data)}\n"
    assert "founded" not in done.stdout


def process(kind: str, folder: Path, http: int, peer: int, data: str = "data") -> list[str]:
    (folder / "secret").write_text(SECRET)
    (folder / "token").write_text(TOKEN)
    return [
        kind, "--name", "one", "--http", f"127.0.0.1:{http}", "--peer", f"127.0.0.1:{peer}",
        "--data", str(folder / data), "--secret-file", str(folder / "secret"), "--token-file", str(folder / "token"),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["simulator", "witness"])
def test_a_second_start_of_a_process_fails_with_the_reason(tmp_path: Path, kind: str) -> None:
    http, peer, other_http, other_peer = free_ports(4)
    first = subprocess.Popen(
        [*PAIRSIM, *process(kind, tmp_path, http, peer)], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    try:
        assert first.stderr is not None
        while "listening" not in first.stderr.readline():
            assert first.poll() is None
        who = f"{Path(f'/proc/{first.pid}/comm').read_text().strip()} (pid {first.pid}), which listens at it"
        for words, sentence in (
            ((other_http, other_peer), f"the data folder {tmp_path}/data is in use by another process"),
            (
                (http, other_peer, "other"),
                f"cannot start: 127.0.0.1:{http} is taken by {who}: give another address with --http",
            ),
            (
                (other_http, peer, "other"),
                f"cannot start: 127.0.0.1:{peer} is taken by {who}: give another address with --peer",
            ),
        ):
            second = command(*process(kind, tmp_path, *words))
            assert (second.returncode, second.stderr.splitlines()[-1]) == (1, f"Error: {sentence}")
        assert first.poll() is None
    finally:
        first.terminate()
        _, errors = first.communicate(timeout=20)
    assert first.returncode == 0
    assert "stopped" in errors
