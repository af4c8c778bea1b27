"""What a replica counts of its own work, as Prometheus wants it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from pairsim.replication.meters import BUCKETS, Meters


class MeterCollector:
    """Reads the meters when it is scraped; a spare has none."""

    def __init__(self, meters: Callable[[], Meters | None]) -> None:
        self._meters = meters

    def collect(self) -> Iterator[Metric]:
        """For the registry."""
        meters = self._meters()
        if meters is None:
            return
        bounds = [*map(str, BUCKETS), "+Inf"]
        yield HistogramMetricFamily(
            "pairsim_tick_seconds",
            "What a tick of the active took.",
            buckets=list(zip(bounds, itertools.accumulate(meters.tick_counts), strict=True)),
            sum_value=meters.tick_seconds,
        )
        for name, text, value in (
            ("pairsim_tick_overruns", "Times that the active fell behind its beat.", meters.overruns),
            ("pairsim_takeovers", "Times that this replica became the active.", meters.takeovers),
            ("pairsim_replayed_ticks", "Ticks that were run again in takeovers.", meters.replayed),
            ("pairsim_sync_bytes", "Packed bytes of the state stream.", meters.sync_bytes),
            ("pairsim_sync_frames", "Frames of the state stream.", meters.sync_frames),
            ("pairsim_sync_skipped", "Ticks without a frame, because a subscriber was behind.", meters.sync_skipped),
        ):
            yield CounterMetricFamily(name, text, value=value)
