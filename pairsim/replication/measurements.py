"""What a replica counts of its own work; read by the metrics endpoint at a scrape."""

from __future__ import annotations

import bisect

TICK_BOUNDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0)
COMMIT_BOUNDS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)
TAKEOVER_BOUNDS = (0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Distribution:
    """How often a time was below which bound, in seconds."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.seconds = 0.0

    def observe(self, seconds: float) -> None:
        """It took so long."""
        self.counts[bisect.bisect_left(self.bounds, seconds)] += 1
        self.seconds += seconds


class Meters:
    """Plain numbers; each is written by one thread, so none needs a lock.

    Attributes:
        ticks: What a tick of the active took.
        commits: From a record's way into the log to its commit.
        takeovers: How long the area stood still when this replica became the active in place of a lost one.
        leaderships: How often this replica became the active, for whatever reason.
        switchovers: How often another active handed over to this replica.
        inbox, voters, lag, tick_rate: As they were at the last look: commands that wait for a tick; members that vote
            and are linked, this one among them; ticks that the passive's state is behind the last commit, None if this
            is not the active or nobody follows; ticks a second that are wanted.
    """

    def __init__(self) -> None:
        self.ticks = Distribution(TICK_BOUNDS)
        self.commits = Distribution(COMMIT_BOUNDS)
        self.takeovers = Distribution(TAKEOVER_BOUNDS)
        self.leaderships = self.switchovers = self.overruns = self.replayed = 0
        self.sync_bytes = self.sync_frames = self.sync_skipped = 0
        self.inbox = self.voters = 0
        self.lag: int | None = None
        self.tick_rate = 0.0

    def became_active(self, gap: float, *, handed: bool) -> None:
        """In another one's place, which hands over and is gone before it is scraped, or is lost; `gap` in seconds."""
        if handed:
            self.switchovers += 1
        else:
            self.takeovers.observe(gap)
