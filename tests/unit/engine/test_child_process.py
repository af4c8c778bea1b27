"""What a node does about the memory of an engine that changes its length, or has none."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pairsim.engine.channel import MessageChannel
from pairsim.engine.descriptors import HEADER_BYTES
from pairsim.engine.framing import PROTOCOL
from pairsim.engine.host import process
from pairsim.engine.host.child_process import ChildProcess
from pairsim.engine.host.priority import put_last
from pairsim.engine.host.process import EngineProcess
from pairsim.engine.memory_file import make_file
from pairsim.engine.messages import Done, Ready, encode_answer
from pairsim.engine.port import EngineLostError
from pairsim.model.state.schema import Component
from tests.unit.model.counting import area

READY = Ready(PROTOCOL, "test 1", [Component("value", "int64")], code="code")


class ReadyChild:
    """An engine that sends READY, and at once another message; it cuts its memory as long as it can."""

    pid, reason = 1, ""

    def __init__(self) -> None:
        mine, self.theirs = socket.socketpair()
        self.channel, self.memory = MessageChannel(mine), make_file("tables", HEADER_BYTES)
        self.theirs.sendall(encode_answer(READY) + encode_answer(Done()))
        self.sealed = self.killed = False

    def on_ready(self) -> None:
        try:
            os.ftruncate(self.memory, 0)
        except PermissionError:
            self.sealed = True

    def kill(self) -> None:
        self.killed = True

    def close(self) -> None:
        self.channel.close()
        self.theirs.close()
        os.close(self.memory)


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> Iterator[ReadyChild]:
    child = ReadyChild()
    monkeypatch.setattr(process, "ChildProcess", lambda *_arguments: child)
    yield child
    child.close()


def test_the_memory_is_sealed_before_the_node_watches_a_word_in_it(child: ReadyChild, tmp_path: Path) -> None:
    with pytest.raises(EngineLostError, match="a message without a request"):
        EngineProcess(area(), tmp_path / "log").start(5)
    assert child.sealed


def test_an_engine_that_cuts_its_memory_before_it_is_sealed_is_lost(
    child: ReadyChild, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "seal_length", lambda fd: os.ftruncate(fd, 0))
    with pytest.raises(EngineLostError, match="the engine has cut its memory"):
        EngineProcess(area(), tmp_path / "log").start(5)
    assert child.killed


def test_the_end_of_an_engine_without_memory_is_reported() -> None:
    ended, reasons = threading.Event(), list[str]()

    def on_end(reason: str) -> None:
        reasons.append(reason)
        ended.set()

    child = ChildProcess(["/bin/sleep", "60"], lambda _output: None, on_end)
    os.ftruncate(child.memory, 0)
    child.on_ready()
    child.kill()
    assert ended.wait(10)
    assert reasons == ["was ended by SIGKILL"]
    child.close()


def test_the_end_is_reported_before_the_kernel_has_released_the_process() -> None:
    """That takes many milliseconds for a large process, and its area stands still meanwhile."""
    known: list[bool] = []
    child = ChildProcess(["/bin/sleep", "60"], lambda _output: None, lambda _reason: known.append(is_known(child.pid)))
    child.kill()
    child.close()
    assert known == [True]
    assert not is_known(child.pid)


def test_an_engine_that_has_ended_lets_others_run_first() -> None:
    priorities: list[int] = []
    child = ChildProcess(
        ["/bin/sleep", "60"],
        lambda _output: None,
        lambda _reason: priorities.append(os.getpriority(os.PRIO_PROCESS, child.pid)),
    )
    child.kill()
    child.close()
    assert priorities == [19]


def test_all_threads_of_a_process_and_its_session_are_put_last() -> None:
    program = "import threading; threading.Thread(target=threading.Event().wait).start(); print(flush=True)"
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        put_last(process.pid)
        threads = [int(thread.name) for thread in Path(f"/proc/{process.pid}/task").iterdir()]
        assert [os.getpriority(os.PRIO_PROCESS, thread) for thread in threads] == [19, 19]
        group = Path(f"/proc/{process.pid}/autogroup")
        assert not group.exists() or group.read_text().split()[-1] in {"19", "0"}, "0 where it may not be changed"
        process.kill()
    put_last(process.pid)  # nothing is left to do


def is_known(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
