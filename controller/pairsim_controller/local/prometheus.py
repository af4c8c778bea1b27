"""A local world for Prometheus: what `pairsim up` counts itself, and where its processes are scraped.

Targets carry the labels that a PodMonitor would give them (`namespace`, `pod`, `container`), so that the same rules
and dashboards fit both.
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

NAMESPACE = "local"


class Targets:
    """The handlers."""

    def __init__(self, world: LocalWorld) -> None:
        self._world = world
        self.registry = CollectorRegistry()
        self.registry.register(AreaCountsCollector(self._census))
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    def collect(self) -> Iterator[Metric]:
        """For the registry."""
        restarts = CounterMetricFamily(
            "pairsim_process_restarts", "Times that a process was started again.", labels=["process"]
        )
        for name, process in self._world.pool.processes.items():
            restarts.add_metric([name], max(0, process.restarts))
        yield restarts

    async def metrics(self, _request: web.Request) -> web.Response:
        """`GET /metrics`: of the world as a whole."""
        return web.Response(body=generate_latest(self.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def targets(self, request: web.Request) -> web.Response:
        """`GET /v1/targets`: Prometheus's HTTP service discovery."""
        found = [
            _target(process.url.removeprefix("http://"), name, process.slot.kind.value)
            for name, process in self._world.pool.processes.items()
        ]
        return web.json_response([*found, _target(request.host, "pairsim-up", "up")])

    def _census(self) -> AreaCounts:
        seen = world_status(self._world)
        areas = [(any(r.role == Role.ACTIVE for r in area.replicas), area.redundant) for area in seen.areas]
        return count_areas(areas, len(seen.spares))


def _target(address: str, name: str, container: str) -> dict[str, object]:
    return {"targets": [address], "labels": {"namespace": NAMESPACE, "pod": name, "container": container}}
