"""How many areas are in which state, and how many spares there are: the same numbers from both backends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import msgspec
from prometheus_client.core import GaugeMetricFamily, Metric

STATES = ("redundant", "degraded", "down")
"""It goes on after any single loss; it has an active, and may not; it has no active."""


class Census(msgspec.Struct, frozen=True):
    """Areas by state, and spares at hand."""

    areas: dict[str, int]
    spares: int


def census(areas: Iterable[tuple[bool, bool]], spares: int) -> Census:
    """Counts areas, each told as whether it has an active and whether it is redundant."""
    counted = Counter("redundant" if redundant else "degraded" if ready else "down" for ready, redundant in areas)
    return Census({state: counted[state] for state in STATES}, spares)


class CensusCollector:
    """Counts when it is scraped; says nothing while there is nobody to ask."""

    def __init__(self, take: Callable[[], Census | None]) -> None:
        self._take = take

    def collect(self) -> Iterator[Metric]:
        """For the registry."""
        taken = self._take()
        if taken is None:
            return
        areas = GaugeMetricFamily("pairsim_areas", "Areas, by state: redundant, degraded or down.", labels=["state"])
        for state, number in taken.areas.items():
            areas.add_metric([state], number)
        yield areas
        yield GaugeMetricFamily("pairsim_spares", "Simulators that have no area and may get one.", value=taken.spares)
