"""What the controller counts, for Prometheus."""

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

from pairsim_controller.kube.api.objects import LastTakeover
from pairsim_controller.reconcile.area_counts import AreaCounts, AreaCountsCollector

_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
QUEUES = ("looks", "papers")
REASONS = ("Takeover", "Switchover")


disable_created_metrics()  # type: ignore[no-untyped-call]  # a gauge for every counter, which nobody reads


class Meters:
    """One controller's; see the help texts."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.leading = Gauge(
            "pairsim_controller_leading", "1 while this controller holds the lease.", registry=registry
        )
        self.labels = Counter("pairsim_controller_labels", "Role labels written, by role.", ["role"], registry=registry)
        self.label_seconds = Histogram(
            "pairsim_controller_label_seconds",
            "From a replica's word that it is active to its label, acknowledged by the API server.",
            buckets=_BUCKETS,
            registry=registry,
        )
        self.orders = Counter(
            "pairsim_controller_orders", "Orders given to processes, by kind.", ["order"], registry=registry
        )
        self._requests = Counter(
            "pairsim_controller_api_requests",
            "Requests to the API server, by verb and status (0: no answer).",
            ["verb", "status"],
            registry=registry,
        )
        self._request_seconds = Histogram(
            "pairsim_controller_api_seconds",
            "Until the API server answered, by verb.",
            ["verb"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._depth = Gauge(
            "pairsim_controller_queue_areas", "Areas that wait in a work queue.", ["queue"], registry=registry
        )
        self._work_seconds = Histogram(
            "pairsim_controller_work_seconds",
            "What the work on one area took, failed work too.",
            ["queue"],
            buckets=_BUCKETS,
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
        self.census: Callable[[], AreaCounts | None] = lambda: None
        registry.register(AreaCountsCollector(lambda: self.census()))  # noqa: PLW0108 - it is another one later
        ProcessCollector(registry=registry)
        self.idle()

    def request(self, verb: str, _path: str, status: int, seconds: float) -> None:
        """A request to the API server was answered, or not (0)."""
        self._requests.labels(verb=verb, status=str(status)).inc()
        self._request_seconds.labels(verb=verb).observe(seconds)

    def timed(self, queue: str, work: Callable[[str], Awaitable[None]]) -> Callable[[str], Awaitable[None]]:
        """The same work, and how long it takes is counted."""
        taken = self._work_seconds.labels(queue=queue)

        async def measured(area: str) -> None:
            with taken.time():
                await work(area)

        return measured

    def depth(self, queue: str, waiting: Sized) -> None:
        """From now on this is the queue."""
        self._depth.labels(queue=queue).set_function(lambda: len(waiting))

    def idle(self) -> None:
        """The lease is lost: nothing waits here, and the areas are counted elsewhere."""
        self.leading.set(0)
        self.census = lambda: None
        for queue in QUEUES:
            self.depth(queue, ())

    def changed(self, change: LastTakeover) -> None:
        """The active of an area is another one."""
        self._changes.labels(reason=change.reason).inc()
        self._undone.inc(change.ticks_lost)

    def text(self) -> bytes:
        """As Prometheus reads it."""
        return generate_latest(self.registry)
