"""The pure parts of the node's side: the log of an engine, the words for its end, and its environment."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import pairsim
from pairsim.engine.descriptors import NODE_PID, UNEXECUTABLE_EXIT_CODE
from pairsim.engine.host import process, tied
from pairsim.engine.host.ending import ending, location
from pairsim.engine.host.output import EngineLog, LineStamper, copy_output
from pairsim.engine.host.process import EngineProcess
from pairsim.engine.host.spawn import engine_environment
from tests.unit.model.counting import area

STAMP = b"1970-01-01T00:00:01.000000Z "


def test_each_line_has_its_time() -> None:
    stamper = LineStamper()
    assert stamper.add(b"one\ntw", 1) == STAMP + b"one\n"
    assert stamper.is_waiting
    assert stamper.add(b"o\n\n", 1) == STAMP + b"two\n" + STAMP + b"\n"
    assert not stamper.is_waiting
    assert stamper.add(b"half", 1) == b""
    assert stamper.flush(1) == STAMP + b"half\n"
    assert stamper.flush(1) == b""


def test_a_line_without_end_is_cut() -> None:
    stamper = LineStamper()
    written = b"".join(stamper.add(b"x" * 1000, 1) for _ in range(40))
    assert written.count(b"\n") == 2
    assert max(map(len, written.split(b"\n"))) < 18_000


def test_what_is_too_much_for_a_second_is_counted_and_dropped() -> None:
    stamper = LineStamper(rate=10)
    assert stamper.add(b"12345678\n", 1) == STAMP + b"12345678\n"
    assert stamper.add(b"\nlost\n", 1) == STAMP + b"\n"
    assert stamper.add(b"lost", 1.5) == b""
    assert b"[9 bytes of output were dropped: more than 10 came in a second]\n" in stamper.add(b"next\n", 2)
    stamper.add(b"x" * 11, 3)
    assert b"[1 bytes of" in stamper.flush(3, last=True)


def test_a_log_stays_short(tmp_path: Path) -> None:
    log = EngineLog(tmp_path / "log")
    for _ in range(40):
        log.write(b"x" * 2**20)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 18 * 2**20
    EngineLog(tmp_path / "nowhere" / "log").write(b"lost")


def test_output_is_copied_until_the_engine_ends_though_the_pipe_stays_open() -> None:
    end, begin = os.pipe()
    os.write(begin, b"first\nlast")
    written: list[bytes] = []
    copy_output(end, written.append, lambda: True)
    os.close(begin)
    text = b"".join(written)
    assert text.endswith(b"Z last\n")
    assert b"Z first\n" in text


REPORT = (
    b"Fatal Python error: Segmentation fault\n\nCurrent thread 0x00007f (most recent call first):\n"
    b'  File "/lib/ctypes.py", line 519 in string_at\n'
    b'  File "/plugins/gr\\xf6wth.py", line 12 in step\n'
    b'  File "/pairsim/tick.py", line 60 in advance\n\nExtension modules: numpy\n\0\0\0'
)


def test_the_line_of_the_author_is_found_in_a_report() -> None:
    assert location(REPORT, ["/plugins/gröwth.py"]) == "in step at /plugins/gr\\xf6wth.py:12"
    assert location(REPORT, []) == "in string_at at /lib/ctypes.py:519"
    waiting = b'  File "/lib/pairsim/engine/channel.py", line 70 in _fill\n  File "/lib/runpy.py", line 88 in run\n'
    assert location(waiting, ["/plugins/growth.py"]) == "while it waited for its node"
    assert location(b"\0" * 10, []) == location(b"\xff\xfe", []) == ""


@pytest.mark.parametrize(
    ("status", "phrase"),
    [
        (None, "ended"),
        (0, "ended with exit code 0"),
        (76, "closed its connection to the node"),
        (-signal.SIGSEGV, "was ended by SIGSEGV"),
        (-99, "was ended by signal 99"),
    ],
)
def test_ends_have_words(status: int | None, phrase: str) -> None:
    assert ending(status) == phrase


def test_an_engine_gets_the_environment_without_the_secrets_of_its_node() -> None:
    root = str(Path(pairsim.__file__).parents[1])
    given = {"PATH": "/bin", "PAIRSIM_SECRET_FILE": "/s", "PYTHONPATH": "/plugins:/more", "PYTHONSAFEPATH": "1"}
    made = engine_environment(given, 7)
    assert made["PATH"] == "/bin"
    assert "PAIRSIM_SECRET_FILE" not in made
    assert made["PAIRSIM_ENGINE_NODE"] == "7"
    assert made["PAIRSIM_ENGINE_PATH"] == f"/plugins:/more:{root}"
    assert made["PAIRSIM_ENGINE_PYTHONPATH"] == "/plugins:/more"
    assert made.get("PYTHONPATH", root) == root
    assert engine_environment({}, 7)["PAIRSIM_ENGINE_PATH"] == root


class BriefProcess:
    """A process that has ended before its node knows it."""

    def __init__(self, _command: object, _write: object, on_end: Callable[[str], None]) -> None:
        self.ending = threading.Thread(target=on_end, args=("ended with exit code 127",))
        self.ending.start()
        self.ending.join(0.1)

    def report(self) -> bytes:
        return b""


def test_the_end_of_a_program_that_ends_at_once_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "ChildProcess", BriefProcess)
    reasons: list[str] = []
    engine = EngineProcess(area(), tmp_path / "log", on_end=reasons.append)
    child = engine._child
    assert isinstance(child, BriefProcess)
    child.ending.join()
    assert reasons == ["ended with exit code 127"]


def test_a_program_that_cannot_be_executed_has_a_sentence() -> None:
    assert ending(UNEXECUTABLE_EXIT_CODE) == "cannot be executed (its log says why)"
    assert (tied.NODE_PID, tied.UNEXECUTABLE_EXIT_CODE) == (NODE_PID, UNEXECUTABLE_EXIT_CODE)
