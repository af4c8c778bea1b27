"""The controller's metrics for Prometheus. The help texts say what each one counts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sized

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from pairsim.model.crossings.conservation import Balance
from pairsim_controller.kube.api.objects import LastTakeover
from pairsim_controller.reconcile.area_counts import AreaCounts, AreaCountsCollector
from pairsim_controller.reconcile.balances import BalanceCollector

_BUCKETS_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
RECONCILE_QUEUE, STATUS_QUEUE = "looks", "papers"
"""Values of the label `queue`: work on labels, assignments and commands; and on statuses, events and owned objects."""

QUEUES = (RECONCILE_QUEUE, STATUS_QUEUE)
REASONS = ("Takeover", "Switchover")


disable_created_metrics()  # type: ignore[no-untyped-call]  # a gauge for every counter, which nobody reads


class ControllerMetrics:
    """The metrics of one controller process.

    Attributes:
        area_counts: Returns the counts of areas and spares; None while another controller counts them.
        balances: Returns the balances of planes; none while another controller has them.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.leading = Gauge(
            "pairsim_controller_leading", "1 while this controller holds the lease.", registry=registry
        )
        self.labels = Counter("pairsim_controller_labels", "Role labels written, by role.", ["role"], registry=registry)
        self.label_seconds = Histogram(
            "pairsim_controller_label_seconds",
            "Time from a replica's report that it is active to the API server's acknowledgement of its label.",
            buckets=_BUCKETS_SECONDS,
            registry=registry,
        )
        self.orders = Counter(
            "pairsim_controller_orders", "Commands sent to processes, by kind.", ["order"], registry=registry
        )
        self._requests = Counter(
            "pairsim_controller_api_requests",
            "Requests to the API server, by verb and status (0: no answer).",
            ["verb", "status"],
            registry=registry,
        )
        self._request_seconds = Histogram(
            "pairsim_controller_api_seconds",
            "Time to the API server's answer, by verb.",
            ["verb"],
            buckets=_BUCKETS_SECONDS,
            registry=registry,
        )
        self._depth = Gauge(
            "pairsim_controller_queue_areas", "Areas that wait in a work queue.", ["queue"], registry=registry
        )
        self._work_seconds = Histogram(
            "pairsim_controller_work_seconds",
            "Time that the work on one area took, failed work included.",
            ["queue"],
            buckets=_BUCKETS_SECONDS,
            registry=registry,
        )
        self.retries = Counter(
            "pairsim_controller_retries", "Work that failed and is tried again.", ["queue"], registry=registry
        )
        self._changes = Counter(
            "pairsim_controller_changes", "Changes of an area's active, by reason.", ["reason"], registry=registry
        )
        self._undone = Counter(
            "pairsim_controller_undone_ticks",
            "Ticks that were seen and that the next active did not have: always 0.",
            registry=registry,
        )
        for queue in QUEUES:
            self.retries.labels(queue=queue)
        for reason in REASONS:
            self._changes.labels(reason=reason)
        self.balances: Callable[[], list[Balance]] = list
        registry.register(BalanceCollector(lambda: self.balances()))  # noqa: PLW0108 - as below
        self.area_counts: Callable[[], AreaCounts | None] = lambda: None
        registry.register(AreaCountsCollector(lambda: self.area_counts()))  # noqa: PLW0108 - the function changes later
        ProcessCollector(registry=registry)
        self.reset()

    def observe_request(self, verb: str, _path: str, status: int, seconds: float) -> None:
        """Counts a request to the API server; status 0 means no answer."""
        self._requests.labels(verb=verb, status=str(status)).inc()
        self._request_seconds.labels(verb=verb).observe(seconds)

    def timed(self, queue: str, work: Callable[[str], Awaitable[None]]) -> Callable[[str], Awaitable[None]]:
        """Returns the same work with its duration measured."""
        seconds = self._work_seconds.labels(queue=queue)

        async def measured(area: str) -> None:
            with seconds.time():
                await work(area)

        return measured

    def track_depth(self, queue: str, waiting: Sized) -> None:
        """Reports the length of `waiting` as the queue's depth from now on."""
        self._depth.labels(queue=queue).set_function(lambda: len(waiting))

    def reset(self) -> None:
        """Reports empty queues and no areas: without the lease, another controller counts them."""
        self.leading.set(0)
        self.area_counts, self.balances = lambda: None, list
        for queue in QUEUES:
            self.track_depth(queue, ())

    def count_change(self, change: LastTakeover) -> None:
        """Counts a change of an area's active."""
        self._changes.labels(reason=change.reason).inc()
        self._undone.inc(change.ticks_lost)

    def render(self) -> bytes:
        """Returns all metrics in Prometheus's text format."""
        return generate_latest(self.registry)
