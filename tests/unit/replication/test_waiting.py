"""Waits end in time although the clocks of the process are ten minutes ahead; flags wake threads and lose no wake."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pairsim.replication.waiting import Broadcast, Wakeup, join
from tests import shifted_clocks

_DEADLINE_SECONDS = 30.0

_WAITS = {
    "sleep": "waiting.sleep(0.01)",
    "a flag": "waiting.Wakeup().wait(0.01)",
    "a broadcast": "waiting.Broadcast().wait(0.01)",
    "the end of a thread": "waiting.join(threading.main_thread(), 0.01)",
    "the timer of an event loop": "event_loop.run(asyncio.sleep(0.01))",
}


@pytest.fixture(scope="module")
def clocks(tmp_path_factory: pytest.TempPathFactory) -> shifted_clocks.ShiftedClocks:
    folder: Path = tmp_path_factory.mktemp("clocks")
    made = shifted_clocks.ShiftedClocks(shifted_clocks.build(folder), folder / "shift")
    made.shift(600)
    return made


def run_shifted(clocks: shifted_clocks.ShiftedClocks, code: str, seconds: float) -> None:
    subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **clocks.environment}, check=True, timeout=seconds
    )  # fmt: skip


def test_waits_end_in_time_although_the_clocks_are_ahead(clocks: shifted_clocks.ShiftedClocks) -> None:
    lines = [
        "import asyncio, threading",
        "from pairsim.replication import waiting",
        "from pairsim.server import event_loop",
    ]
    run_shifted(clocks, "\n".join([*lines, *_WAITS.values()]), _DEADLINE_SECONDS)


def test_a_wait_of_the_standard_library_does_not(clocks: shifted_clocks.ShiftedClocks) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        run_shifted(clocks, "import threading; threading.Event().wait(0.01)", 0.5)


def test_a_flag_wakes_a_thread_and_stays_set_until_it_is_cleared() -> None:
    flag, seen = Wakeup(), []
    thread = threading.Thread(target=lambda: seen.append(flag.wait(_DEADLINE_SECONDS)))
    thread.start()
    flag.set()
    thread.join(_DEADLINE_SECONDS)
    assert seen == [True]
    assert flag.wait(0.0)
    flag.clear()
    assert not flag.is_set()
    assert not flag.wait(0.0)


def test_a_broadcast_wakes_all_waiting_threads() -> None:
    broadcast = Broadcast()
    threads = [threading.Thread(target=broadcast.wait, args=(_DEADLINE_SECONDS,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        broadcast.notify_all()


def test_the_end_of_a_thread_is_waited_for() -> None:
    thread = threading.Thread(target=lambda: None)
    thread.start()
    join(thread, _DEADLINE_SECONDS)
    assert not thread.is_alive()
