"""The one clock of replication, so that a simulation can run a whole process on virtual time.

A machine's clocks can be shifted under a running process, by an operator or by a fault that a test injects. The real
source is `CLOCK_BOOTTIME`, which the usual faults leave alone, and a source that goes back is corrected: the time here
stands still for a moment and goes on. A source that jumps ahead lets timers end early, which costs an election at most.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable

_BACKWARD_SECONDS = 1.0
"""How far the source must go back to count as shifted; threads that wait for each other differ by less."""


class SteadyClock:
    """A clock that never goes back, whatever happens to its source."""

    def __init__(self, source: Callable[[], float]) -> None:
        """Starts with the time of the source, in seconds."""
        self._source = source
        self._offset = 0.0
        self._newest = source()
        self._lock = threading.Lock()

    def __call__(self) -> float:
        """Returns the time in seconds; only differences have a meaning."""
        now = self._source() + self._offset
        if now < self._newest - _BACKWARD_SECONDS:
            now = self._corrected()
        self._newest = now
        return now

    def _corrected(self) -> float:
        with self._lock:
            # Read again: this thread may have slept since it read the source, while another one set a newer time.
            now = self._source() + self._offset
            if now < self._newest - _BACKWARD_SECONDS:
                self._offset += self._newest - now
                now = self._newest
            return now


_source: Callable[[], float] = SteadyClock(functools.partial(time.clock_gettime, time.CLOCK_BOOTTIME))


def monotonic() -> float:
    """Returns the time in seconds; only differences have a meaning."""
    return _source()


def use_clock(clock: Callable[[], float]) -> None:
    """Makes all of replication in this process use another clock."""
    global _source  # noqa: PLW0603 - one clock per process is the point
    _source = clock
