"""The times at which an area acknowledged commands; sans-I/O, all times are seconds of one monotonic clock."""

from __future__ import annotations

from collections import deque

SLICE_SECONDS = 0.1
"""Availability is the share of time slices of this length in which a command was acknowledged."""

_MIN_PAUSE_SECONDS = 0.03
_MAX_PAUSES = 10_000


class Availability:
    """The acknowledgements of one area, and the pauses between them.

    Attributes:
        longest_pause: The longest time without an acknowledgement, in seconds.
    """

    def __init__(self, began: float) -> None:
        """Creates a record that starts at `began`, without an acknowledgement."""
        self._began, self._last = began, began
        self._fault_at: float | None = None
        self._slices = 0
        self._slice = -1
        self._pauses: deque[tuple[float, float]] = deque(maxlen=_MAX_PAUSES)
        self.longest_pause = 0.0

    def on_acknowledged(self, now: float) -> None:
        """Records that a command was acknowledged."""
        pause = now - self._last
        self.longest_pause = max(self.longest_pause, pause)
        if pause >= _MIN_PAUSE_SECONDS:
            self._pauses.append((self._last, now))
        self._last = now
        number = int((now - self._began) / SLICE_SECONDS)
        if number != self._slice:
            self._slice = number
            self._slices += 1

    def on_end(self, now: float) -> None:
        """Records the end of sending; the time since the last acknowledgement counts as a pause."""
        self.longest_pause = max(self.longest_pause, now - self._last)

    def on_fault(self, now: float) -> None:
        """Records that a fault was injected."""
        self._fault_at = now

    @property
    def silent_since_fault(self) -> bool:
        """Returns whether a fault was injected, and no command was acknowledged after it."""
        return self._fault_at is not None and self._last <= self._fault_at

    def silence(self, now: float) -> float:
        """Returns the seconds since the last acknowledgement."""
        return now - self._last

    def share(self, now: float) -> float:
        """Returns the availability since the beginning, from 0 to 1."""
        return min(1.0, self._slices / max(1, int((now - self._began) / SLICE_SECONDS)))

    def pause_around(self, at: float) -> float:
        """Returns the length of the pause around a moment in seconds; 0 if acknowledgements continued then."""
        return max((end - start for start, end in self._pauses if start <= at <= end), default=0.0)
