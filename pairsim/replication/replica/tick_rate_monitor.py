"""Measures how well an area keeps its tick rate: the ticks of the last seconds against those that the rate asks for."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

WINDOW_SECONDS, WINDOW_TICKS = 5.0, 20
"""The window is as long as the longer of the two, so that neither a hiccup nor a slow tick rate looks like overload."""

_SAMPLES_PER_WINDOW = 10


class _RateSample(NamedTuple):
    at: float
    tick: int
    busy: float


class TickRateMonitor:
    """A sliding window over the ticks of one leadership; written by the replica thread.

    Attributes:
        share: The kept share of the tick rate, at most 1.0; 1.0 until the window is full.
        tick_ms: The mean duration of a tick in milliseconds; 0.0 until the window is full.
    """

    def __init__(self, tick_rate: float) -> None:
        """Starts with an empty window; `tick_rate` is in ticks a second."""
        self.share, self.tick_ms = 1.0, 0.0
        self._rate = tick_rate
        self._window = max(WINDOW_SECONDS, WINDOW_TICKS / tick_rate)
        self._samples: deque[_RateSample] = deque()

    def observe(self, now: float, tick: int, busy: float) -> None:
        """Notes that the active is at `tick`, and that its ticks have taken `busy` seconds in all."""
        samples = self._samples
        if samples and now - samples[-1].at < self._window / _SAMPLES_PER_WINDOW:
            return
        samples.append(_RateSample(now, tick, busy))
        while len(samples) > 2 and now - samples[1].at >= self._window:
            samples.popleft()
        first = samples[0]
        if now - first.at < self._window:
            return
        ticks = tick - first.tick
        self.share = min(1.0, ticks / (self._rate * (now - first.at)))
        if ticks:
            self.tick_ms = 1000.0 * (busy - first.busy) / ticks
