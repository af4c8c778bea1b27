"""What a process prints: in the hands of the kernel at the end of each line, and no danger to the code that prints."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pairsim.system.output import OutputDescriptor, print_line, use_reliable_output

BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
PRINTS = "from pairsim.system.output import use_reliable_output; use_reliable_output(); import ctypes, os, sys; "


def start(code: str, stdout: int) -> subprocess.Popen[bytes]:
    """Starts a program with reliable output; the standard error of a failure appears in the report of the test."""
    return subprocess.Popen([sys.executable, "-c", PRINTS + code], stdout=stdout, env=BUFFERED)


def test_a_killed_process_has_lost_no_line(tmp_path: Path) -> None:
    code = "print('from Python'); ctypes.CDLL(None).puts(b'from C'); os.kill(os.getpid(), 9)"
    with (tmp_path / "log").open("ab") as log:
        assert start(code, log.fileno()).wait(20) == -signal.SIGKILL
    assert (tmp_path / "log").read_text() == "from Python\nfrom C\n"


def test_a_pipe_that_nothing_reads_does_not_hold_the_process_up() -> None:
    unread, full = os.pipe()
    process = start("[print('line', number) for number in range(20_000)]", full)
    os.close(full)
    assert process.wait(20) == 0
    assert os.read(unread, 2**20).startswith(b"line 0\nline 1\n")
    os.close(unread)


def test_dropped_output_is_reported_as_soon_as_the_pipe_is_read() -> None:
    unread, full = os.pipe()
    output = OutputDescriptor(full)
    while output.write(b"x" * 4096) and not output._lost:
        pass
    output.write(b"y" * 1000)
    os.read(unread, 2**20)
    output.write(b"z")
    assert os.read(unread, 2**20) == b"[5096 bytes of output were dropped, since nothing read them]\nz"
    output.close()
    for fd in (unread, full):
        os.close(fd)


def test_a_broken_pipe_and_a_full_disk_raise_nothing() -> None:
    unread, broken = os.pipe()
    os.close(unread)
    with Path("/dev/full").open("wb") as full:
        assert [
            start("print('lost'); print('lost', file=sys.stderr)", fd).wait(20) for fd in (broken, full.fileno())
        ] == [0, 0]
    os.close(broken)


def test_characters_that_have_no_bytes_are_escaped(tmp_path: Path) -> None:
    with (tmp_path / "log").open("ab") as log:
        assert start("print('\\udc80')", log.fileno()).wait(20) == 0
    assert (tmp_path / "log").read_text() == "\\udc80\n"


def test_a_stream_that_was_replaced_stays(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr
    use_reliable_output()
    assert (sys.stdout, sys.stderr) == before


def test_a_line_that_cannot_be_printed_is_lost_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    with contextlib.suppress(OSError), Path("/dev/full").open("w") as full, monkeypatch.context() as patch:
        patch.setattr("sys.stdout", full)
        print_line("nobody reads this")
        print_line("nor this")
        patch.undo()
        with pytest.raises(OSError, match="No space left"):
            full.flush()


def test_a_line_is_printed_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    print_line("a line")
    assert capfd.readouterr().out == "a line\n"
