"""Start, end and surroundings of an engine."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import psutil
import pytest

from pairsim.engine.host.child_process import ChildProcess
from pairsim.engine.host.process import EngineProcess
from pairsim.engine.host.spawn import program_engine
from pairsim.engine.in_process import load_in_process
from pairsim.engine.port import EngineHungError, EngineLostError, EngineRaisedError
from pairsim.model.commands import Command
from tests.process.engine.faulty import area, command, fork_and_die
from tests.unit.model.counting import area as counting_area

ROOT = Path(__file__).parents[3]
CYCLES = 50
QUIET = [sys.executable, "-c", "import time; time.sleep(1000)"]
"""An engine that does nothing."""


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def make_program(path: Path, content: str) -> Path:
    path.write_text(content)
    path.chmod(0o755)
    return path


def test_a_program_that_reads_nothing_ends_with_its_node(tmp_path: Path) -> None:
    """Such as one in C that loops forever: it never sees the end of its connection."""
    program = make_program(tmp_path / "endless", "#!/bin/sh\nwhile :; do sleep 1; done\n")
    code = (
        "import pathlib, sys, time\n"
        "from pairsim.engine.host.process import EngineProcess\n"
        "from pairsim.engine.host.spawn import program_engine\n"
        "from tests.unit.model.counting import area\n"
        "command = program_engine(pathlib.Path(sys.argv[2]))\n"
        "engine = EngineProcess(area(), pathlib.Path(sys.argv[1]), command=command)\n"
        "print(engine.pid, flush=True)\n"
        "time.sleep(1000)\n"
    )
    node = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "log"), str(program)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert node.stdout is not None
        pid = int(node.stdout.readline())
        wait_until(lambda: psutil.Process(pid).name() == "endless", "the program runs")
    finally:
        node.kill()
        node.communicate()
    wait_until(lambda: not is_running(pid), "the program has ended")


def test_a_program_that_cannot_be_executed_is_reported(tmp_path: Path) -> None:
    program = make_program(tmp_path / "text", "not a program\n")
    engine = EngineProcess(area(), tmp_path / "log", command=program_engine(program))
    try:
        with pytest.raises(EngineLostError, match="the engine cannot be executed"):
            engine.start(60)
    finally:
        engine.close()
    assert f"{program} cannot be executed: Exec format error" in (tmp_path / "log").read_text()


def test_a_program_gets_the_default_action_of_all_signals(tmp_path: Path) -> None:
    """Python ignores two of them."""
    program = make_program(tmp_path / "shell", "#!/bin/sh\ngrep ^SigIgn /proc/self/status\n")
    engine = EngineProcess(area(), tmp_path / "log", command=program_engine(program))
    with contextlib.closing(engine), pytest.raises(EngineLostError):
        engine.start(60)
    ignored = re.search(r"SigIgn:\t([0-9a-f]+)", (tmp_path / "log").read_text())
    assert ignored is not None
    assert int(ignored[1], 16) & (1 << 31) - 1 == 0, "the C library may ignore two more, which are its own"


def test_an_engine_computes_what_the_twin_without_a_process_computes(tmp_path: Path) -> None:
    spec = counting_area(100)
    twin, engine = load_in_process(spec), EngineProcess(spec, tmp_path / "log")
    commands = [
        Command("a", "add", 1, {"amount": 5.0}),
        Command("b", "add", 99_999, {"amount": 5.0}),
        Command("c", "spawn", 1000, {"count": 3.0, "colour": [1.0, 2.0]}),
        Command("d", "despawn", 0),
        Command("e", "unknown", 0),
    ]
    try:
        engine.start(60)
        assert (engine.components, engine.operations) == (twin.components, twin.operations)
        twin.populate()
        engine.populate()
        for tick in range(1, 4):
            given = commands if tick == 2 else []
            layout = engine.table.layout
            assert engine.advance(engine.table, given, tick) == twin.advance(twin.table, given, tick)
            assert engine.table.digest() == twin.table.digest()
            assert (engine.table.layout != layout) == (tick == 2)
            assert engine.table.row(1000) == twin.table.row(1000)
        assert engine.perceive(4) == twin.perceive(4)
        before = engine.table.digest()
        for one in (engine, twin):  # the node changes ids as well
            one.check_table.assign(twin.table.ids[::-1].copy(), {n: c[::-1] for n, c in twin.table.columns().items()})
            one.check_table.despawn(np.array([5]))
        assert engine.advance(engine.check_table, commands[:1], 4) == twin.advance(twin.check_table, commands[:1], 4)
        assert engine.check_table.digest() == twin.check_table.digest()
        assert engine.table.digest() == before
    finally:
        engine.close()


def test_another_thread_reads_that_a_simulator_is_preparing_and_may_end_that(tmp_path: Path) -> None:
    engine = EngineProcess(area(prepare_ms=60_000), tmp_path / "log")
    failed: list[EngineLostError] = []

    def start() -> None:
        with pytest.raises(EngineLostError) as lost:
            engine.start(60)
        failed.append(lost.value)

    starting = threading.Thread(target=start)
    assert engine.preparing_seconds is None
    starting.start()
    wait_until(lambda: (engine.preparing_seconds or 0) > 0.05, "it prepares")
    engine.close()
    starting.join()
    assert (str(failed[0]), engine.preparing_seconds) == ("the engine was closed", None)


def test_a_start_has_a_time_limit(tmp_path: Path) -> None:
    engine = EngineProcess(area(prepare_ms=60_000), tmp_path / "log")
    with pytest.raises(EngineHungError, match=r"gave no answer for 0\.1 s"):
        engine.start(0.1)
    engine.close()


@pytest.mark.parametrize(
    ("simulator", "sentence"),
    [
        ("nowhere:Nothing", "the simulator 'nowhere:Nothing' cannot be loaded: No module named 'nowhere'"),
        ("unheard", "the simulator 'unheard' is unknown: installed are physics"),
    ],
)
def test_a_simulator_that_cannot_be_loaded_is_named_and_the_engine_tries_another(
    tmp_path: Path, simulator: str, sentence: str
) -> None:
    engine = EngineProcess(msgspec.structs.replace(area(), simulator=simulator), tmp_path / "log")
    try:
        with pytest.raises(EngineRaisedError, match=re.escape(sentence)):
            engine.start(60)
    finally:
        engine.close()


def test_a_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineLostError, match="the engine could not be started: No such file or directory"):
        EngineProcess(area(), tmp_path / "log", command=["/nowhere/engine"])


def test_the_reason_of_an_end_between_two_calls_is_reported(tmp_path: Path) -> None:
    reasons: list[str] = []
    engine = EngineProcess(area(), tmp_path / "log", command=QUIET, on_end=reasons.append)
    os.kill(engine.pid, signal.SIGTERM)
    wait_until(lambda: bool(reasons), "the end is noticed")
    assert (reasons, engine.lost) == (["was ended by SIGTERM"], "was ended by SIGTERM")
    engine.close()


def test_neither_threads_nor_descriptors_stay_behind(tmp_path: Path) -> None:
    def count() -> tuple[int, int]:
        gc.collect()
        return threading.active_count(), len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    def cycle(number: int) -> None:
        engine = EngineProcess(area(), tmp_path / "log", command=QUIET)
        if number % 2:
            os.kill(engine.pid, signal.SIGKILL)
            wait_until(lambda: engine.lost == "was ended by SIGKILL", "the end is noticed")
        engine.close()

    cycle(0)
    before = count()
    for number in range(CYCLES):
        cycle(number)
    started = EngineProcess(area(), tmp_path / "log")
    started.start(60)
    started.populate()
    started.close()
    del started
    assert count() == before


def test_files_with_the_names_of_modules_do_not_hurt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulator comes from a folder of PYTHONPATH, as `pairsim install` makes one."""
    plugins, work = tmp_path / "plugins", tmp_path / "work"
    for folder in (plugins, work):
        folder.mkdir()
        for name in ("queue", "numpy", "msgspec", "struct"):
            (folder / f"{name}.py").write_text("raise RuntimeError('a file of the author')\n")
    (plugins / "mine.py").write_text(
        "import os, queue, sys\n"
        "from tests.unit.model.counting import Counting\n"
        "class Mine(Counting):\n"
        "    def prepare(self):\n"
        "        print('PYTHONPATH', os.environ['PYTHONPATH'], sorted(n for n in os.environ if 'PAIRSIM' in n))\n"
        "        print('descriptors', sorted(map(int, os.listdir('/proc/self/fd'))), os.getsid(0) == os.getpid())\n"
        "        print('begun', end='')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(plugins))
    monkeypatch.setenv("PAIRSIM_SECRET_FILE", "/secret")
    monkeypatch.chdir(work)
    engine = EngineProcess(msgspec.structs.replace(counting_area(), simulator="mine:Mine"), tmp_path / "log")
    with (tmp_path / "open").open("w") as inherited:
        os.set_inheritable(inherited.fileno(), True)
        try:
            engine.start(60)
            engine.populate()
            assert len(engine.table) == 4
        finally:
            engine.close()
    log = (tmp_path / "log").read_text()
    assert f"Z PYTHONPATH {plugins} []\n" in log
    assert re.search(r"descriptors \[0, 1, 2, 3, 4, 5(, \d+){0,3}\] True", log)
    assert re.search(r"Z begun.*\n", log)


def test_an_engine_ends_with_its_node(tmp_path: Path) -> None:
    program = (
        "import sys, time, pathlib\n"
        "from pairsim.engine.host.process import EngineProcess\n"
        "from tests.process.engine.faulty import area\n"
        "engine = EngineProcess(area(), pathlib.Path(sys.argv[1]))\n"
        "engine.start(60)\n"
        "print(engine.pid, flush=True)\n"
        "time.sleep(1000)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "log")]
    node = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert node.stdout is not None
    pid = int(node.stdout.readline())
    assert is_running(pid)
    node.kill()
    node.communicate()
    wait_until(lambda: not is_running(pid), "the engine ends")


def test_an_adopted_process_is_waited_for(tmp_path: Path) -> None:
    """The first process of a container adopts what an engine leaves behind."""
    prctl, subreaper = ctypes.CDLL(None).prctl, 36
    engine = EngineProcess(area(), tmp_path / "log")
    prctl(subreaper, 1)
    try:
        engine.start(60)
        engine.populate()
        with pytest.raises(EngineLostError, match="was ended by SIGKILL"):
            engine.advance(engine.table, [command(fork_and_die)], 1)
    finally:
        engine.close()
        prctl(subreaper, 0)
    with pytest.raises(ChildProcessError):
        os.waitid(os.P_PGID, engine.pid, os.WEXITED | os.WNOHANG)


def test_the_end_is_noticed_without_the_word_in_shared_memory(tmp_path: Path) -> None:
    """As on machines without robust futexes, and with engines that do not use them."""
    reasons: list[str] = []
    child = ChildProcess(QUIET, lambda _lines: None, reasons.append)
    child.on_ready()
    os.kill(child.pid, signal.SIGKILL)
    assert child.ended.wait(30)
    assert child.reason == "was ended by SIGKILL"
    with pytest.raises(EOFError):
        child.channel.receive(30)
    child.close()
    assert reasons == ["was ended by SIGKILL"]
