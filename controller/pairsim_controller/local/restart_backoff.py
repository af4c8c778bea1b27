"""When a process that ended is started again, and what is told of its end. Sans-I/O.

A simulator that raises at the same tick again, or a full disk, does not mend itself: who ends again and again is
started less and less often, and told of less and less often.
"""

from __future__ import annotations

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0

HEALTHY = 10.0
"""Seconds from its start after which a process has worked. Half of them may go by before it does anything: it loads,
and reads what it has on disk."""


class Restarts:
    """Of one process: how often it ended soon after its start."""

    def __init__(self) -> None:
        """It has never ended."""
        self._pause = 0.0
        self._how, self._times = "", 0

    def ended(self, how: str, ran: float) -> tuple[float, str]:
        """It ended after `ran` seconds, and nobody had ordered it: the pause before it is started, and what to tell.

        The same end is told at its first, second, fourth, eighth ... time in a row; empty if it is not to be told.
        """
        if ran >= HEALTHY:
            self._pause, self._times = 0.0, 0
        self._pause = min(2 * self._pause, LONGEST_PAUSE) or FIRST_PAUSE
        self._times = self._times + 1 if how == self._how else 1
        self._how = how
        if self._times & (self._times - 1):
            return self._pause, ""
        return self._pause, f"{how}, {self._times} times in a row" if self._times > 1 else how
