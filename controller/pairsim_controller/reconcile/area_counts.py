"""The number of areas in each state and the number of spares, as metrics: the same numbers from both adapters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import msgspec
from prometheus_client.core import GaugeMetricFamily, Metric

STATES = ("redundant", "degraded", "down")
"""An area survives any single loss; it has an active and might not survive a loss; it has no active."""


class AreaCounts(msgspec.Struct, frozen=True):
    """The number of areas by state, and the number of available spares."""

    areas: dict[str, int]
    spares: int


def count_areas(areas: Iterable[tuple[bool, bool]], spares: int) -> AreaCounts:
    """Counts areas; each is given as whether it has an active and whether it is redundant."""
    counted = Counter("redundant" if redundant else "degraded" if ready else "down" for ready, redundant in areas)
    return AreaCounts({state: counted[state] for state in STATES}, spares)


class AreaCountsCollector:
    """A Prometheus collector that counts at each scrape, and exports nothing while `count` returns None."""

    def __init__(self, count: Callable[[], AreaCounts | None]) -> None:
        self._count = count

    def collect(self) -> Iterator[Metric]:
        """Yields the metrics, as a Prometheus registry expects."""
        counts = self._count()
        if counts is None:
            return
        areas = GaugeMetricFamily("pairsim_areas", "Areas, by state: redundant, degraded or down.", labels=["state"])
        for state, number in counts.areas.items():
            areas.add_metric([state], number)
        yield areas
        yield GaugeMetricFamily("pairsim_spares", "Simulators that have no area and may get one.", value=counts.spares)
