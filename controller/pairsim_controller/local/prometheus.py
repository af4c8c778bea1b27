"""Prometheus's view of a local world: the metrics of `pairsim up` itself, and the discovery of its processes.

Scrape targets carry the labels that a PodMonitor would add (`namespace`, `pod`, `container`), so the same rules and
dashboards fit a local world and a cluster.
"""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from pairsim.model.status import Role
from pairsim_controller.local.world import LocalWorld
from pairsim_controller.local.world_status import world_status
from pairsim_controller.reconcile.area_counts import AreaCounts, AreaCountsCollector, count_areas
from pairsim_controller.reconcile.balances import BalanceCollector

NAMESPACE = "local"


class PrometheusApi:
    """The handlers, and the collector of the world's own metrics."""

    def __init__(self, world: LocalWorld) -> None:
        self._world = world
        self.registry = CollectorRegistry()
        self.registry.register(AreaCountsCollector(self._census))
        self.registry.register(BalanceCollector(lambda: world_status(world).balances))
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    def collect(self) -> Iterator[Metric]:
        """Yields the restarts by process, as the registry asks for them."""
        restarts = CounterMetricFamily(
            "pairsim_process_restarts", "Times that a process was started again.", labels=["process"]
        )
        for name, process in self._world.pool.processes.items():
            restarts.add_metric([name], max(0, process.restarts))
        yield restarts

    async def metrics(self, _request: web.Request) -> web.Response:
        """Handles `GET /metrics`: the metrics of `pairsim up`, without those of its processes."""
        return web.Response(body=generate_latest(self.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def targets(self, request: web.Request) -> web.Response:
        """Handles `GET /v1/targets`: the scrape targets in the format of Prometheus's HTTP service discovery."""
        found = [
            _target(process.url.removeprefix("http://"), name, process.spec.kind.value)
            for name, process in self._world.pool.processes.items()
        ]
        return web.json_response([*found, _target(request.host, "pairsim-up", "up")])

    def _census(self) -> AreaCounts:
        seen = world_status(self._world)
        areas = [(any(r.role == Role.ACTIVE for r in area.replicas), area.redundant) for area in seen.areas]
        return count_areas(areas, len(seen.spares))


def _target(address: str, name: str, container: str) -> dict[str, object]:
    return {"targets": [address], "labels": {"namespace": NAMESPACE, "pod": name, "container": container}}
