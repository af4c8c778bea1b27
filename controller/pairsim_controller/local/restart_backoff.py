"""Crash-loop back-off of a process, and exponentially rarer messages about it. Sans-I/O.

A simulator that raises at the same tick again, or a full disk, does not mend itself. So a process that ends soon after
its start is restarted after growing delays, and repetitions of the same end are reported less and less often.
"""

from __future__ import annotations

FIRST_DELAY_SECONDS, MAX_DELAY_SECONDS = 0.1, 5.0

HEALTHY_SECONDS = 10.0
"""A process that ran at least this long has worked, which resets the back-off. It may spend half of this time loading
code and reading its disk."""


class RestartBackoff:
    """The state of one process: how often it ended soon after its start, and in the same way."""

    def __init__(self) -> None:
        self._delay = 0.0
        self._reason, self._times = "", 0

    def on_end(self, reason: str, uptime: float) -> tuple[float, str]:
        """Records an unordered end of the process.

        Args:
            reason: How it ended.
            uptime: Seconds that it ran.

        Returns:
            The delay in seconds before the next start, and the message to report. The same reason is reported at its
            first, second, fourth, eighth ... time in a row; the message is empty at other times.
        """
        if uptime >= HEALTHY_SECONDS:
            self._delay, self._times = 0.0, 0
        self._delay = min(2 * self._delay, MAX_DELAY_SECONDS) or FIRST_DELAY_SECONDS
        self._times = self._times + 1 if reason == self._reason else 1
        self._reason = reason
        if self._times & (self._times - 1):
            return self._delay, ""
        return self._delay, f"{reason}, {self._times} times in a row" if self._times > 1 else reason
