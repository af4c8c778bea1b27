"""How long a thread of this process waited for a processor while it could have run.

The kernel counts this run delay per thread (`/proc/PID/task/TID/schedstat`, Documentation/scheduler/sched-stats). A
stopped or sleeping thread does not wait for a processor; a thread of a starved process does.
"""

from __future__ import annotations

import collections
import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

_TASKS = Path("/proc/self/task")
_FRESH_SECONDS = 0.02
"""A sample this old still counts as new, which bounds how often all threads are read."""

_MAX_SHARE = 0.1
"""The most of a processor that samples may take: a process with thousands of threads needs some 50 ms for one."""

_PERIOD_SECONDS = 1.0
"""The longest time between two samples, so that a wait can be distinguished from earlier ones."""

_SAMPLES = 64


class RunDelay:
    """Samples of the run delay of one process, for any thread."""

    def __init__(
        self,
        clock: Callable[[], float],
        read: Callable[[], Mapping[str, float]] | None = None,
        cost: Callable[[], float] = time.thread_time,
    ) -> None:
        """Starts with a sample.

        Args:
            clock: Returns the time in seconds.
            read: Returns the run delay of each thread so far, in seconds; the kernel's by default.
            cost: Returns the processor time of the calling thread so far, in seconds.
        """
        self._clock, self._read, self._cost = clock, read or run_delays, cost
        self._fresh_seconds = _FRESH_SECONDS
        self._lock = threading.Lock()
        self._samples: collections.deque[tuple[float, Mapping[str, float]]] = collections.deque(maxlen=_SAMPLES)
        self._sample(clock())

    def since(self, then: float) -> float:
        """Returns an upper bound of the run delay of one thread since a time in the last second, in seconds.

        The waits of several threads are not added up: when a stopped process goes on, all of them want a processor at
        once, and their sum would pass for a starved process.
        """
        now = self._clock()
        with self._lock:
            self._sample_if_older(now, self._fresh_seconds)
            newest = self._samples[-1][1]
            before = next((delays for when, delays in reversed(self._samples) if when <= then), self._samples[0][1])
        return max((delay - before.get(thread, 0.0) for thread, delay in newest.items()), default=0.0)

    def keep_current(self, now: float) -> None:
        """Takes a sample if the last one is a second old; cheap enough for every turn of a thread."""
        if now - self._samples[-1][0] >= _PERIOD_SECONDS and self._lock.acquire(blocking=False):
            try:
                self._sample_if_older(now, _PERIOD_SECONDS)
            finally:
                self._lock.release()

    def _sample_if_older(self, now: float, seconds: float) -> None:
        if now - self._samples[-1][0] >= seconds:
            self._sample(now)

    def _sample(self, now: float) -> None:
        began = self._cost()
        delays = self._read()
        self._fresh_seconds = max(_FRESH_SECONDS, (self._cost() - began) / _MAX_SHARE)
        self._samples.append((now, delays))


def run_delays() -> dict[str, float]:
    """Returns the run delay of each living thread of this process, in seconds; empty if the kernel does not count."""
    found = {}
    with contextlib.suppress(OSError):
        for task in _TASKS.iterdir():
            with contextlib.suppress(OSError, IndexError, ValueError):  # a thread may have ended meanwhile
                found[task.name] = int((task / "schedstat").read_bytes().split()[1]) * 1e-9
    return found
