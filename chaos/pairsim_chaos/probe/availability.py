"""When an area acknowledged commands, and when it did not; sans-I/O, times in seconds of one monotonic clock."""

from __future__ import annotations

from collections import deque

SLICE = 0.1
"""Seconds. Availability is the share of such slices of time in which a command was acknowledged."""

_WORTH = 0.03
_KEPT = 10_000


class Pauses:
    """Of one area."""

    def __init__(self, began: float) -> None:
        """Nothing is acknowledged yet."""
        self._began, self._last = began, began
        self._slices = 0
        self._slice = -1
        self._pauses: deque[tuple[float, float]] = deque(maxlen=_KEPT)
        self.longest = 0.0

    def acknowledged(self, now: float) -> None:
        """Something was."""
        pause = now - self._last
        self.longest = max(self.longest, pause)
        if pause >= _WORTH:
            self._pauses.append((self._last, now))
        self._last = now
        number = int((now - self._began) / SLICE)
        if number != self._slice:
            self._slice = number
            self._slices += 1

    def ended(self, now: float) -> None:
        """Nothing more is sent: what was not acknowledged until now counts."""
        self.longest = max(self.longest, now - self._last)

    def silent(self, now: float) -> float:
        """Seconds since the last acknowledgement."""
        return now - self._last

    def availability(self, now: float) -> float:
        """From 0 to 1, since the beginning."""
        return min(1.0, self._slices / max(1, int((now - self._began) / SLICE)))

    def around(self, at: float) -> float:
        """How long the pause was in which something happened; 0 if nothing was waited for then."""
        return max((end - start for start, end in self._pauses if start <= at <= end), default=0.0)
