"""The engine that a node starts before it has loaded what an area needs: one at most, asked for one simulator."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import cast

import msgspec

from pairsim.engine.framing import HEADER, decode_hello
from pairsim.engine.host.child_process import ChildProcess
from pairsim.engine.host.launcher import CALM_SECONDS, FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS, EngineLauncher
from tests.unit.model.counting import area

SPEC = area()
OTHER = msgspec.structs.replace(SPEC, area="other")
PROGRAM = msgspec.structs.replace(SPEC, simulator="exec:/bin/engine")


class FakeChannel:
    def __init__(self) -> None:
        self.asked: list[str] = []

    def send(self, message: bytes, _seconds: float) -> None:
        self.asked.append(decode_hello(message[HEADER.size :]).area.area)


class FakeChild:
    """The process of an engine that a test ends."""

    def __init__(self, on_end: Callable[[str], None], *, warm: bool) -> None:
        self.warm, self.pid, self._on_end = warm, 7, on_end
        self.channel, self.ended, self.closed = FakeChannel(), threading.Event(), threading.Event()

    def end(self) -> None:
        self.ended.set()
        self._on_end("was ended by SIGKILL")

    def close(self) -> None:
        self.closed.set()


class Rig:
    """A launcher of fake processes, whose pauses end when a test says so."""

    def __init__(self) -> None:
        self.children: list[FakeChild] = []
        self.failures = 0
        self.now = 0.0
        self.pauses: list[float] = []
        self.started = threading.Semaphore(0)
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.launcher = EngineLauncher(Path("log"), launch=self._launch, clock=lambda: self.now, wait=self._wait)

    def _launch(self, on_end: Callable[[str], None], *, warm: bool) -> ChildProcess:
        if self.failures:
            self.failures -= 1
            raise OSError(11, "Resource temporarily unavailable")
        self.children.append(FakeChild(on_end, warm=warm))
        self.started.release()
        return cast("ChildProcess", self.children[-1])

    def _wait(self, _stop: threading.Event, seconds: float) -> None:
        self.pauses.append(seconds)
        assert self.may_go_on.wait(10)

    @staticmethod
    def join() -> None:
        """Waits until no start is pending."""
        for thread in threading.enumerate():
            if thread.name == "engine-warm":
                thread.join(10)

    def await_start(self) -> FakeChild:
        assert self.started.acquire(timeout=10)
        return self.children[-1]


def test_a_warm_engine_is_asked_for_the_simulator_when_it_is_taken() -> None:
    rig = Rig()
    rig.launcher.keep()
    rig.launcher.keep()
    child = rig.await_start()
    assert rig.pauses == [CALM_SECONDS], "one is started for both requests"
    assert (child.warm, child.channel.asked, rig.launcher.pid) == (True, [], 7)
    taken = rig.launcher.take(SPEC)
    assert rig.launcher.pid is None
    assert cast("object", taken) is child
    assert child.channel.asked == [SPEC.area]
    child.end()
    assert rig.children == [child], "it belongs to the replica now"


def test_without_a_warm_engine_one_is_started() -> None:
    rig = Rig()
    taken = rig.launcher.take(SPEC)
    [child] = rig.children
    assert cast("object", taken) is child
    assert (child.warm, child.channel.asked) == (False, [SPEC.area])


def test_the_engine_of_an_area_that_is_resumed_starts_early_and_is_asked_once() -> None:
    rig = Rig()
    rig.launcher.begin(SPEC)
    rig.launcher.begin(SPEC)
    [child] = rig.children
    assert child.channel.asked == [SPEC.area]
    assert cast("object", rig.launcher.take(SPEC)) is child
    assert child.channel.asked == [SPEC.area]


def test_an_engine_that_has_loaded_the_code_of_another_area_is_not_used() -> None:
    rig = Rig()
    rig.launcher.begin(SPEC)
    taken = rig.launcher.take(OTHER)
    first, second = rig.children
    assert cast("object", taken) is second
    assert second.channel.asked == [OTHER.area]
    assert first.closed.wait(10)


def test_an_engine_that_has_ended_is_not_used() -> None:
    rig = Rig()
    rig.launcher.begin(SPEC)
    rig.children[0].end()
    assert cast("object", rig.launcher.take(SPEC)) is rig.children[1]


def test_a_program_gets_no_engine_for_python() -> None:
    rig = Rig()
    rig.launcher.begin(PROGRAM)
    assert rig.children == []
    rig.launcher.keep()
    rig.await_start()
    assert rig.launcher.take(PROGRAM) is None
    assert rig.children[0].closed.wait(10)
    assert rig.children[0].channel.asked == []


def test_a_warm_engine_that_ends_is_replaced_ever_later() -> None:
    rig = Rig()
    rig.launcher.keep()
    for number in range(8):
        child = rig.await_start()
        rig.now += 0.1 if number < 7 else 1000.0
        child.end()
    rig.await_start()
    growing = [FIRST_PAUSE_SECONDS * 2**n for n in range(6)]
    assert rig.pauses == [CALM_SECONDS, *growing, MAX_PAUSE_SECONDS, FIRST_PAUSE_SECONDS]
    assert all(child.closed.wait(10) for child in rig.children[:-1])


def test_a_warm_engine_that_cannot_be_started_is_tried_again() -> None:
    rig = Rig()
    rig.failures = 2
    rig.launcher.keep()
    assert rig.await_start().warm
    assert rig.pauses == [CALM_SECONDS, FIRST_PAUSE_SECONDS, 2 * FIRST_PAUSE_SECONDS]


def test_nothing_is_replaced_once_an_area_is_there() -> None:
    rig = Rig()
    rig.launcher.keep()
    warm = rig.await_start()
    rig.may_go_on.clear()
    warm.end()
    taken = rig.launcher.take(SPEC)
    assert cast("object", taken) is rig.await_start()
    rig.may_go_on.set()
    rig.join()
    assert [child.warm for child in rig.children] == [True, False]


def test_a_spare_that_is_needed_at_once_starts_no_warm_engine() -> None:
    rig = Rig()
    rig.may_go_on.clear()
    rig.launcher.keep()
    rig.launcher.take(SPEC)
    rig.may_go_on.set()
    rig.join()
    assert [child.warm for child in rig.children] == [False]


def test_a_warm_engine_is_dropped() -> None:
    rig = Rig()
    rig.launcher.keep()
    rig.await_start()
    rig.launcher.drop()
    assert rig.children[0].closed.wait(10)
    rig.children[0].end()
    assert len(rig.children) == 1


def test_the_launcher_loads_nothing_that_only_an_area_needs() -> None:
    code = (
        "import sys\nfrom pairsim.replication.process import resumption\n"
        "print(*sorted({'numpy', 'numba', 'pysyncobj', 'cryptography'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == []
