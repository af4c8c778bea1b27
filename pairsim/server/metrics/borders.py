"""What crosses the borders of an area, as Prometheus metrics; only the active has them.

The label `neighbour` is the name of another area. The links in which nothing waits or crosses are left out if there are
more than `MAX_NEIGHBOURS`.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from pairsim.model.crossings.border_status import BorderStatus


def border_metrics(borders: BorderStatus) -> Iterator[Metric]:
    """Yields the metrics of an active's borders."""
    crossings = CounterMetricFamily(
        "pairsim_crossings", "Entities that came from a neighbour or went to it.", labels=["neighbour", "direction"]
    )
    links = [
        GaugeMetricFamily(name, text, labels=["neighbour"])
        for name, text in (
            ("pairsim_outbox_entities", "Entities that wait for the acknowledgement of a neighbour."),
            ("pairsim_outbox_age_seconds", "For how long the oldest message for a neighbour has waited."),
            ("pairsim_link_connected", "1 if there is a connection to the active of a neighbour."),
        )
    ]
    for each in borders.neighbours:
        name = each.area or f"number-{each.number}"
        crossings.add_metric([name, "out"], each.sent)
        crossings.add_metric([name, "in"], each.taken)
        for family, value in zip(links, (each.waiting, each.waiting_seconds, each.connected), strict=True):
            family.add_metric([name], float(value))
    yield crossings
    yield from links
    for name, text, count in (
        ("pairsim_born_entities", "Entities that were populated and spawned since the area began.", borders.born),
        ("pairsim_died_entities", "Entities that were removed since the area began.", borders.died),
        ("pairsim_conflicts", "Entities that the area refused, because their ids were taken.", borders.conflicts),
    ):
        yield CounterMetricFamily(name, text, value=count)
    for name, text, now in (
        ("pairsim_nowhere_entities", "Entities at a position that is in no area.", borders.nowhere),
        ("pairsim_queued_entities", "Entities that should cross and wait because of a limit.", borders.queued),
    ):
        yield GaugeMetricFamily(name, text, value=now)
