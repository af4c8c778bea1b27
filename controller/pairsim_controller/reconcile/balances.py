"""Whether every entity of each plane is accounted for, as metrics: the same from both adapters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from pairsim.model.crossings.conservation import Balance, balance
from pairsim_controller.plan.fleet_index import FleetIndex


def plane_balances(index: FleetIndex, planes: Iterable[str]) -> list[Balance]:
    """Returns the balances of planes; a plane is missing while its balance is not known."""
    found = []
    for plane in planes:
        actives = [claim.active for claim in index.claims(plane)]
        one = balance(plane, [active.borders if active is not None else None for active in actives])
        if one is not None:
            found.append(one)
    return found


class BalanceCollector:
    """A Prometheus collector that sums up at each scrape; a plane has no samples while its balance is not known."""

    def __init__(self, balances: Callable[[], Iterable[Balance]]) -> None:
        self._balances = balances

    def collect(self) -> Iterator[Metric]:
        """Yields the metrics, as a Prometheus registry expects."""
        missing = GaugeMetricFamily(
            "pairsim_unaccounted_entities",
            "Entities that were born, did not die, and are in no area and no outbox; negative if there are too many."
            " Always 0.",
            labels=["plane"],
        )
        travelling = GaugeMetricFamily(
            "pairsim_travelling_entities", "Entities on their way between areas.", labels=["plane"]
        )
        for one in self._balances():
            missing.add_metric([one.plane], one.unaccounted)
            travelling.add_metric([one.plane], one.on_their_way)
        yield missing
        yield travelling
