"""The run delay since a time is never less than the true one, and all threads are rarely read."""

from __future__ import annotations

import threading

import pytest

from pairsim.system.run_delay import RunDelay, run_delays


class Kernel:
    """Time and run delay as a test sets them; counts how often all threads are read."""

    def __init__(self) -> None:
        self.now = self.total = 0.0
        self.reads = 0

    def clock(self) -> float:
        return self.now

    def read(self) -> dict[str, float]:
        self.reads += 1
        return {"1": self.total}

    def run_delay(self) -> RunDelay:
        return RunDelay(self.clock, self.read)


def test_a_wait_is_told_from_earlier_ones() -> None:
    kernel = Kernel()
    delay = kernel.run_delay()
    kernel.now, kernel.total = 1.5, 7.0
    delay.keep_current(kernel.now)
    kernel.now, kernel.total = 2.0, 7.3
    assert delay.since(1.6) == pytest.approx(0.3)
    assert delay.since(1.0) == pytest.approx(7.3), "no sample tells the part before it"


def test_all_threads_are_read_once_in_a_while_only() -> None:
    kernel = Kernel()
    delay = kernel.run_delay()
    for step in range(100):
        kernel.now = 2.0 + step / 1000
        delay.keep_current(kernel.now)
        delay.since(kernel.now - 0.1)
    assert kernel.reads <= 8


def test_samples_of_very_many_threads_take_a_small_part_of_a_processor() -> None:
    """Each sample takes longer than another one counts as new: without a limit a busy process did nothing else."""
    kernel, spent = Kernel(), 0.0

    def read() -> dict[str, float]:
        nonlocal spent
        spent += 0.05
        return kernel.read()

    delay = RunDelay(kernel.clock, read, lambda: spent)
    for step in range(1, 501):
        kernel.now = step / 50
        delay.since(kernel.now - 0.1)
    assert spent <= 0.1 * kernel.now + 0.05
    assert kernel.reads > 10


def test_a_turn_does_not_wait_for_a_sample_of_another_thread() -> None:
    inside, leave = threading.Event(), threading.Event()
    leave.set()

    def slow() -> dict[str, float]:
        inside.set()
        leave.wait(10)
        return {}

    kernel = Kernel()
    delay = RunDelay(kernel.clock, slow)
    inside.clear()
    leave.clear()
    kernel.now = 5.0
    thread = threading.Thread(target=delay.since, args=(4.0,))
    thread.start()
    assert inside.wait(10)
    delay.keep_current(kernel.now)
    leave.set()
    thread.join(10)
    assert not thread.is_alive()


def test_the_kernel_counts_what_this_process_waited() -> None:
    before = run_delays()
    after = run_delays()
    assert before
    assert all(0.0 <= delay <= after[thread] for thread, delay in before.items() if thread in after)


def test_the_waits_of_several_threads_are_not_added_up() -> None:
    """All threads of a stopped process want a processor at once when it goes on."""
    delays = {"1": 0.1, "2": 0.1}
    now = 1.0
    delay = RunDelay(lambda: now, lambda: dict(delays))
    delays.update({"1": 0.13, "2": 0.12, "3": 0.02})
    now = 1.5
    assert delay.since(1.0) == pytest.approx(0.03)
