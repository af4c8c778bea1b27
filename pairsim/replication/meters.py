"""What a replica counts of its own work; read by the metrics endpoint at a scrape."""

from __future__ import annotations

import bisect

BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0)
"""Upper bounds of the tick time histogram, in seconds."""


class Meters:
    """Plain numbers; each is written by one thread, so none needs a lock."""

    def __init__(self) -> None:
        self.tick_counts = [0] * (len(BUCKETS) + 1)
        self.tick_seconds = 0.0
        self.overruns = 0
        self.takeovers = 0
        self.replayed = 0
        self.sync_bytes = 0
        self.sync_frames = 0
        self.sync_skipped = 0

    def tick(self, seconds: float) -> None:
        """A tick took so long."""
        self.tick_counts[bisect.bisect_left(BUCKETS, seconds)] += 1
        self.tick_seconds += seconds
