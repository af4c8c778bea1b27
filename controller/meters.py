"""What the controller counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Meters:
    """One controller's; see the help texts."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.leading = Gauge(
            "pairsim_controller_leading", "1 while this controller holds the lease.", registry=self._registry
        )
        self.labels = Counter(
            "pairsim_controller_labels", "Role labels written, by role.", ["role"], registry=self._registry
        )
        self.label_seconds = Histogram(
            "pairsim_controller_label_seconds",
            "From a replica's word that it is active to its label, acknowledged by the API server.",
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self.orders = Counter(
            "pairsim_controller_orders", "Orders given to processes, by kind.", ["order"], registry=self._registry
        )
        self._requests = Counter(
            "pairsim_controller_api_requests",
            "Requests to the API server, by verb and status (0: no answer).",
            ["verb", "status"],
            registry=self._registry,
        )
        self._request_seconds = Histogram(
            "pairsim_controller_api_seconds",
            "Until the API server answered, by verb.",
            ["verb"],
            buckets=_BUCKETS,
            registry=self._registry,
        )

    def request(self, verb: str, _path: str, status: int, seconds: float) -> None:
        """A request to the API server was answered, or not (0)."""
        self._requests.labels(verb=verb, status=str(status)).inc()
        self._request_seconds.labels(verb=verb).observe(seconds)

    def text(self) -> bytes:
        """As Prometheus reads it."""
        return generate_latest(self._registry)
