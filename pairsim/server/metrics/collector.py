"""The measurements that a replica takes of its own work, as Prometheus metrics."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from pairsim.replication.measurements import ReplicaMeasurements
from pairsim.server.metrics.borders import border_metrics


class MeasurementCollector:
    """A collector that reads a replica's measurements at every scrape; a spare has no measurements."""

    def __init__(self, meters: Callable[[], ReplicaMeasurements | None]) -> None:
        self._meters = meters

    def collect(self) -> Iterator[Metric]:
        """Yields the metrics; the registry calls this at every scrape."""
        meters = self._meters()
        if meters is None:
            return
        for name, text, histogram in (
            ("pairsim_tick_seconds", "What a tick of the active took.", meters.ticks),
            ("pairsim_commit_seconds", "From a tick's record in the active's log to its commit.", meters.commits),
            (
                "pairsim_takeover_seconds",
                "From the last commit under an active that was lost to the first under this one.",
                meters.takeovers,
            ),
            (
                "pairsim_handover_seconds",
                "From the commit of an entity's departure to the acknowledgement of its arrival.",
                meters.handovers,
            ),
        ):
            bounds = [*map(str, histogram.bounds), "+Inf"]
            buckets = list(zip(bounds, itertools.accumulate(histogram.counts), strict=True))
            yield HistogramMetricFamily(name, text, buckets=buckets, sum_value=histogram.seconds)
        for name, text, value in (
            ("pairsim_tick_overruns", "Times that the active fell behind its beat.", meters.overruns),
            ("pairsim_leaderships", "Times that this replica became the active.", meters.leaderships),
            ("pairsim_switchovers", "Times that another active handed over to this replica.", meters.switchovers),
            ("pairsim_replayed_ticks", "Ticks that were run again in takeovers.", meters.replayed),
            ("pairsim_sync_bytes", "Packed bytes of the state stream.", meters.sync_bytes),
            ("pairsim_sync_frames", "Frames of the state stream.", meters.sync_frames),
            ("pairsim_sync_skipped", "Ticks without a frame, because a subscriber was behind.", meters.sync_skipped),
        ):
            yield CounterMetricFamily(name, text, value=value)
        for name, text, now in (
            ("pairsim_inbox_commands", "Commands that wait for a tick.", meters.inbox),
            ("pairsim_quorum_members", "Members that vote and are linked here, this one among them.", meters.voters),
            ("pairsim_tick_rate_hertz", "Ticks a second that are wanted.", meters.tick_rate),
        ):
            yield GaugeMetricFamily(name, text, value=now)
        if meters.borders is not None:
            yield from border_metrics(meters.borders)
        if meters.lag is not None:
            text = "Ticks that the passive's state is behind the last commit, as the active sees it."
            yield GaugeMetricFamily("pairsim_sync_lag_ticks", text, value=meters.lag)
