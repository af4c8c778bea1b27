"""The Prometheus metrics of a process; one registry per application, so that tests can run many in one process.

All samples of a replica carry the label `area`, because a process may be given another area. The samples of a spare
carry no such label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sized

from aiohttp import web
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from pairsim.model.commands import Result, Status
from pairsim.model.status import ReplicaStatus, Role, WitnessStatus

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ANSWER_BOUNDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)

_TERM, _GENERATION = "Raft's term.", "Number of the Raft group; 0 for a spare."
_TICK = "The newest committed tick known here."

disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the number of samples


class _Collector:
    """A collector made of a function, which is called at every scrape."""

    def __init__(self, collect: Callable[[], Iterator[Metric]]) -> None:
        self.collect = collect


class MetricsEndpoint:
    """A registry of metrics and the handler of `GET /metrics`.

    Attributes:
        registry: Takes the metrics of the process.
    """

    def __init__(self, area: Callable[[], str] = str) -> None:
        """Creates a registry with the metrics of the operating system's process.

        Args:
            area: Is called at every scrape; every sample gets the result as the label `area`, unless it is empty.
        """
        self.registry = CollectorRegistry()
        self._area = area
        self._labelled = CollectorRegistry()
        self._labelled.register(_Collector(self._with_area))
        ProcessCollector(registry=self.registry)

    def _with_area(self) -> Iterator[Metric]:
        area = self._area()
        for metric in self.registry.collect():
            if area:
                metric.samples = [s._replace(labels={"area": area, **s.labels}) for s in metric.samples]
            yield metric

    async def handle(self, _request: web.Request) -> web.Response:
        """Handles `GET /metrics`."""
        return web.Response(body=generate_latest(self._labelled), headers={"Content-Type": _CONTENT_TYPE})


class ReplicaMetrics(MetricsEndpoint):
    """The metrics of a simulator process: counts of requests, and values of its status.

    Attributes:
        answer_seconds: Histogram of the time from a batch's arrival to its answer.
    """

    def __init__(self, status: Callable[[], ReplicaStatus]) -> None:
        super().__init__(lambda: status().area)
        self._status = status
        self._commands = Counter(
            "pairsim_commands", "Commands answered, by result.", ["result"], registry=self.registry
        )
        self._by_status = {status: self._commands.labels(status.value) for status in Status}
        self._refused = self._commands.labels("refused")
        self._full = Counter(
            "pairsim_inbox_refusals", "Batches refused because the inbox was full.", registry=self.registry
        )
        self._relayed = Counter("pairsim_relayed_commands", "Commands relayed to the active.", registry=self.registry)
        self.answer_seconds = Histogram(
            "pairsim_answer_seconds",
            "From a batch of commands' arrival to its answer.",
            buckets=_ANSWER_BOUNDS,
            registry=self.registry,
        )
        self._held = Counter("pairsim_held_batches", "Batches that had to wait for an active.", registry=self.registry)

    def answered(self, results: list[Result]) -> None:
        """Counts the results of a committed batch."""
        applied = 0
        for result in results:
            if result.status is Status.APPLIED:
                applied += 1
            else:
                self._by_status[result.status].inc()
        self._by_status[Status.APPLIED].inc(applied)

    def refused(self, commands: int, *, full: bool) -> None:
        """Counts a refused batch of `commands` commands; `full` says that the inbox was full."""
        self._refused.inc(commands)
        if full:
            self._full.inc()

    def relayed(self, commands: int) -> None:
        """Counts commands that were relayed to the active."""
        self._relayed.inc(commands)

    def held(self) -> None:
        """Counts a batch that has to wait for an active."""
        self._held.inc()

    def watch(self, sockets: Mapping[str, Sized]) -> None:
        """Adds metrics that are read from the status and the open sockets at every scrape."""

        def collect() -> Iterator[Metric]:
            now = self._status()
            yield _by_label("pairsim_role", "1 for the role of this process.", "role", _roles(now))
            for name, text, value in (
                ("pairsim_term", _TERM, now.term),
                ("pairsim_generation", _GENERATION, now.generation),
                ("pairsim_map_version", "The version of the map of its plane that the area knows.", now.version),
                ("pairsim_tick", _TICK, now.tick),
                ("pairsim_synced_tick", "The tick of the state here.", now.synced_tick),
                ("pairsim_entities", "Entities in the state here.", now.entities),
                ("pairsim_outside_entities", "Entities here that are outside of the area's bounds.", now.outside),
                ("pairsim_in_sync", "1 if this replica could take over.", int(now.in_sync)),
            ):
                yield GaugeMetricFamily(name, text, value=value)
            yield CounterMetricFamily(
                "pairsim_divergences",
                "Digest mismatches, of states (mended by a keyframe) and of ticks done again.",
                value=now.divergences,
            )
            for name, opened in sockets.items():
                yield GaugeMetricFamily(f"pairsim_{name}", f"Open WebSockets: {name}.", value=len(opened))

        self.registry.register(_Collector(collect))


class WitnessMetrics(MetricsEndpoint):
    """The metrics of a witness process, read from its status at every scrape."""

    def __init__(self, status: Callable[[], WitnessStatus]) -> None:
        super().__init__()

        def collect() -> Iterator[Metric]:
            areas = status().areas
            yield GaugeMetricFamily("pairsim_witness_areas", "Areas served.", value=len(areas))
            for name, text, values in (
                ("pairsim_term", _TERM, {g.area: g.term for g in areas}),
                ("pairsim_tick", _TICK, {g.area: g.tick for g in areas}),
                ("pairsim_generation", _GENERATION, {g.area: g.generation for g in areas}),
            ):
                yield _by_label(name, text, "area", values)

        self.registry.register(_Collector(collect))


def _roles(status: ReplicaStatus) -> dict[str, int]:
    return {role.value: int(status.role is role) for role in Role}


def _by_label(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family
