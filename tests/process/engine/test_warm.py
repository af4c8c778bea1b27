"""A warm engine: real processes that wait for an area, and end with their node."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from pairsim.engine.host.launcher import EngineLauncher
from pairsim.engine.host.process import EngineProcess
from pairsim.engine.in_process import load_in_process
from tests.unit.model.counting import area


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def has_ended(pid: int) -> bool:
    """Returns whether a process has ended, also if no process has waited for it yet."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def loaded(pid: int, library: str) -> bool:
    """Returns whether a process has mapped a file of a library."""
    return library in Path(f"/proc/{pid}/maps").read_text()


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[EngineLauncher]:
    made = EngineLauncher(tmp_path / "engine.log")
    yield made
    made.drop()


def pid_of(launcher: EngineLauncher) -> int:
    wait_until(lambda: launcher.pid is not None, "there is a warm engine")
    return launcher.pid or 0


def test_a_warm_engine_computes_what_any_other_computes(launcher: EngineLauncher, tmp_path: Path) -> None:
    launcher.keep()
    pid = pid_of(launcher)
    wait_until(lambda: loaded(pid, "llvmlite"), "the warm engine has loaded numba")
    spec = area(100)
    twin = load_in_process(spec)
    engine = EngineProcess(spec, tmp_path / "engine.log", child=launcher.take(spec))
    try:
        engine.start(60)
        assert engine.pid == pid
        for one in (twin, engine):
            one.populate()
            one.advance(one.table, [], 1)
        assert engine.table.digest() == twin.table.digest()
    finally:
        engine.close()
    assert has_ended(pid)


def test_code_that_is_installed_while_an_engine_waits_is_found(
    launcher: EngineLauncher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "plugins"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(folder))
    launcher.keep()
    pid = pid_of(launcher)
    wait_until(lambda: loaded(pid, "numpy"), "the warm engine has loaded numpy")
    (folder / "installed_later.py").write_text("from tests.unit.model.counting import Counting\n")
    spec = msgspec.structs.replace(area(), simulator="installed_later:Counting")
    engine = EngineProcess(spec, tmp_path / "engine.log", child=launcher.take(spec))
    try:
        engine.start(60)
        assert engine.pid == pid
    finally:
        engine.close()


def test_a_warm_engine_that_is_killed_is_replaced(launcher: EngineLauncher) -> None:
    launcher.keep()
    first = pid_of(launcher)
    psutil.Process(first).kill()
    wait_until(lambda: launcher.pid not in {None, first}, "there is another warm engine")
    wait_until(lambda: has_ended(first), "the first one is forgotten")


def test_a_warm_engine_ends_with_its_node(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys, time\n"
        "from pairsim.engine.host.launcher import EngineLauncher\n"
        "launcher = EngineLauncher(pathlib.Path(sys.argv[1]))\n"
        "launcher.keep()\n"
        "while launcher.pid is None:\n    time.sleep(0.02)\n"
        "print(launcher.pid, flush=True)\n"
        "time.sleep(1000)\n"
    )
    node = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True)
    try:
        assert node.stdout is not None
        pid = int(node.stdout.readline())
        wait_until(lambda: loaded(pid, "numpy"), "the warm engine runs")
    finally:
        node.kill()
        node.communicate()
    wait_until(lambda: has_ended(pid), "the warm engine has ended")
