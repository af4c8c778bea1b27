"""What a replica measures of its own work; the metrics endpoint reads it at a scrape."""

from __future__ import annotations

import bisect

from pairsim.model.crossings.border_status import BorderStatus

TICK_SECONDS = (
    0.0005,
    0.001,
    0.002,
    0.005,
    0.01,
    0.015,
    0.02,
    0.025,
    0.03,
    0.04,
    0.05,
    0.075,
    0.1,
    0.25,
    0.5,
    1.0,
)
COMMIT_SECONDS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)
TAKEOVER_SECONDS = (0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
HANDOVER_SECONDS = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0)
"""Upper bounds of the histograms' buckets, in seconds."""


class Histogram:
    """A histogram of durations.

    Attributes:
        bounds: Upper bounds of the buckets, in seconds, ascending.
        counts: How many durations fell into each bucket; one more than `bounds`, for longer durations.
        seconds: The sum of all durations.
    """

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.seconds = 0.0

    def observe(self, seconds: float, times: int = 1) -> None:
        """Counts a duration, once or several times."""
        self.counts[bisect.bisect_left(self.bounds, seconds)] += times
        self.seconds += seconds * times


class ReplicaMeasurements:
    """The counters and gauges of one replica; each is written by one thread, so they need no lock.

    Attributes:
        ticks: Durations of the active's ticks.
        commits: Durations from the submission of a tick's record to its commit.
        takeovers: Durations for which the area stood still when this replica replaced a lost active.
        handovers: Of each entity that went to another area, the time from the commit of its departure until the
            acknowledgement of its arrival counts.
        borders: What crosses borders, when it was last read; None if this replica is not the active.
        leaderships: How often this replica became the active, for any reason.
        switchovers: How often another active handed over to this replica.
        overruns: How often the active fell behind its tick rate.
        replayed: Ticks that this replica ran again in takeovers.
        sync_bytes: Packed bytes of the state stream.
        sync_frames: Frames of the state stream.
        sync_skipped: Ticks without a frame, because a subscriber was behind.
        inbox: Commands that waited for a tick when the gauges were last set.
        voters: Members that vote and are linked, this one included, when the gauges were last set.
        lag: Ticks by which the passive's state is behind the last commit; None if this replica is not the active, or
            no passive follows.
        tick_rate: The wanted ticks per second.
    """

    def __init__(self) -> None:
        self.ticks = Histogram(TICK_SECONDS)
        self.commits = Histogram(COMMIT_SECONDS)
        self.takeovers = Histogram(TAKEOVER_SECONDS)
        self.handovers = Histogram(HANDOVER_SECONDS)
        self.borders: BorderStatus | None = None
        self.leaderships = self.switchovers = self.overruns = self.replayed = 0
        self.sync_bytes = self.sync_frames = self.sync_skipped = 0
        self.inbox = self.voters = 0
        self.lag: int | None = None
        self.tick_rate = 0.0

    def became_active(self, gap: float, *, handed: bool) -> None:
        """Counts that this replica became the active in place of another one.

        The new active counts it, since the old one is lost, or ends before it is scraped.

        Args:
            gap: How long the area stood still, in seconds.
            handed: Whether the active before handed over.
        """
        if handed:
            self.switchovers += 1
        else:
            self.takeovers.observe(gap)
