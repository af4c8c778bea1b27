"""How fast time runs in an area: the ticks of the last seconds, against as many as its tick rate asks for."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

SECONDS, TICKS = 5.0, 20
"""What is looked back at: both, so that neither a hiccup nor the beat of a slow area looks like a slow simulator."""

_MARKS = 10


class _Mark(NamedTuple):
    at: float
    tick: int
    busy: float


class Pace:
    """Of one leadership; written by the replica thread.

    Attributes:
        share: Of the tick rate that is kept, 1.0 at the most, and until enough has been seen.
        tick_ms: What a tick took.
    """

    def __init__(self, tick_rate: float) -> None:
        """Nothing is known yet."""
        self.share, self.tick_ms = 1.0, 0.0
        self._rate = tick_rate
        self._window = max(SECONDS, TICKS / tick_rate)
        self._marks: deque[_Mark] = deque()

    def observe(self, now: float, tick: int, busy: float) -> None:
        """The active is at `tick`; all of its ticks together have taken `busy` seconds."""
        marks = self._marks
        if marks and now - marks[-1].at < self._window / _MARKS:
            return
        marks.append(_Mark(now, tick, busy))
        while len(marks) > 2 and now - marks[1].at >= self._window:
            marks.popleft()
        first = marks[0]
        if now - first.at < self._window:
            return
        ticks = tick - first.tick
        self.share = min(1.0, ticks / (self._rate * (now - first.at)))
        if ticks:
            self.tick_ms = 1000.0 * (busy - first.busy) / ticks
