"""The controller with a thousand areas: a real API server, real requests and rights; the pods' processes are fakes.

The fakes, the API server and the controller share the machine, so its figures are what the three reach together.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio

from tests.cluster.loopback import NAMESPACE, Loopback
from tests.cluster.report import Report
from tests.cluster.watcher import Object, Watcher
from tests.cluster.world import Roles
from tests.unit.controller.replicas import TOKEN, Replicas

pytestmark = pytest.mark.cluster

AREAS, SMALL, LOSSES, ROUNDS = 1000, 100, 100, 3
SPARES, WITNESSES = 20, 2
IDLE_SECONDS = 20.0
_NODES = 20
_CORE = f"/api/v1/namespaces/{NAMESPACE}"
_OURS = f"/apis/pairsim.io/v1alpha1/namespaces/{NAMESPACE}"


class Crowd:
    """Pods as the API server shows them, and the processes behind them."""

    def __init__(self, loopback: Loopback) -> None:
        self.loopback, self.replicas, self.roles = loopback, Replicas(), Roles()
        self.pods = Watcher(loopback.kubectl_command, "pods", "-n", NAMESPACE)
        self.pods.each(self.roles.saw)
        self.areas: list[str] = []

    async def add_pods(self, kind: str, number: int) -> None:
        """Pods of a component, each with a process that answers."""
        there = sum(name.startswith(kind) for name in self.replicas.fakes)
        names = [f"{kind}-{there + i}" for i in range(number)]
        for name in names:
            await self.replicas.add(name)
        await self.loopback.write("POST", [(f"{_CORE}/pods", self._pod(name, kind)) for name in names])
        status = {
            "phase": "Running",
            "podIP": "127.0.0.1",
            "podIPs": [{"ip": "127.0.0.1"}],
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [
                {
                    "name": kind,
                    "ready": True,
                    "restartCount": 0,
                    "image": "pairsim",
                    "imageID": "",
                    "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
                }
            ],
        }
        await self.loopback.write("PATCH", [(f"{_CORE}/pods/{name}/status", {"status": status}) for name in names])

    async def add_areas(self, upto: int) -> None:
        """Areas side by side in one plane."""
        names = [f"area{i}" for i in range(len(self.areas), upto)]
        self.areas += names
        bodies = [
            {
                "apiVersion": "pairsim.io/v1alpha1",
                "kind": "Area",
                "metadata": {"name": name},
                "spec": {"plane": "wide", "bounds": {"min": [i, 0, 0], "max": [i + 1, 1, 1]}, "entities": 7},
            }
            for name in names
            for i in (int(name.removeprefix("area")),)
        ]
        await self.loopback.write("POST", [(f"{_OURS}/areas", body) for body in bodies])

    async def until(self, what: str, holds: Callable[[dict[str, Object]], Any], seconds: float) -> Any:
        """Waits while the fakes go on answering."""
        return await asyncio.to_thread(self.pods.wait, what, holds, seconds)

    async def settled(self, seconds: float) -> None:
        """Every area has one active and one passive."""

        def told(pods: dict[str, Object]) -> bool:
            found = [p["metadata"]["labels"] for p in pods.values()]
            roles = [label.get("pairsim.io/role") for label in found if label.get("pairsim.io/area")]
            return roles.count("active") == roles.count("passive") == len(self.areas)

        await self.until(f"{len(self.areas)} areas have their pair", told, seconds)

    async def lose(self, areas: list[str]) -> float:
        """The actives' processes are gone at once, and the passives lead; the Unix time."""
        before = {area: self.replicas.actives[area] for area in areas}
        at = time.time()
        await asyncio.gather(*(self.replicas.fakes[name].stop() for name in before.values()))
        for area, name in before.items():
            mine = self.replicas.fakes[name].has[area]
            self.replicas.lead(area, next(m.replica for m in mine.replicas if m.replica != name))
        return at

    async def revive(self, names: list[str]) -> None:
        """Their containers were restarted."""
        await asyncio.gather(*(self.replicas.fakes[name].start() for name in names))

    def _pod(self, name: str, kind: str) -> dict[str, Any]:
        port = self.replicas.fakes[name].port
        ports = [{"name": "http", "containerPort": port}, {"name": "peer", "containerPort": port % 60000 + 1}]
        labels = {"app.kubernetes.io/name": "pairsim", "app.kubernetes.io/part-of": "pairsim"}
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": labels | {"app.kubernetes.io/component": kind}},
            "spec": {
                "nodeName": f"node{port % _NODES}",
                "containers": [{"name": kind, "image": "pairsim", "ports": ports}],
            },
        }


@pytest_asyncio.fixture
async def crowd(tmp_path: Path) -> AsyncIterator[Crowd]:
    loopback = Loopback(tmp_path)
    try:
        loopback.open()
        made = Crowd(loopback)
        secret = {"metadata": {"name": "pairsim"}, "stringData": {"secret": "s", "token": TOKEN}}
        plane = {"simulator": "physics", "bounds": {"min": [0, 0, 0], "max": [AREAS, 1, 1]}}
        document = {"apiVersion": "pairsim.io/v1alpha1", "kind": "Plane", "metadata": {"name": "wide"}, "spec": plane}
        await loopback.write("POST", [(f"{_CORE}/secrets", secret), (f"{_OURS}/planes", document)])
        made.pods.start()
        try:
            yield made
        finally:
            made.pods.close()
            await made.replicas.close()
    finally:
        loopback.close()


async def test_a_controller_of_a_thousand_areas(crowd: Crowd, report: Report) -> None:
    await crowd.add_pods("witness", WITNESSES)
    await crowd.add_pods("simulator", 2 * SMALL + SPARES)
    controller = psutil.Process(crowd.loopback.control())
    await crowd.add_areas(SMALL)
    await crowd.settled(120)
    await _idle(crowd, controller, report)
    await crowd.add_pods("simulator", 2 * (AREAS - SMALL))
    began = time.time()
    await crowd.add_areas(AREAS)
    await crowd.settled(300)
    report.add(f"{AREAS - SMALL} areas applied at once to all labelled", time.time() - began, "s")
    await _idle(crowd, controller, report)
    for number in range(ROUNDS):
        lost = crowd.areas[number * LOSSES : (number + 1) * LOSSES]
        dead = [crowd.replicas.actives[area] for area in lost]
        at = await crowd.lose(lost)

        def swapped(_pods: dict[str, Object], lost: list[str] = lost, at: float = at) -> bool:
            return {area for when, area, _ in crowd.roles.changes if when >= at} >= set(lost)

        await crowd.until(f"{LOSSES} labels are swapped", swapped, 60)
        for when, _area, _name in [c for c in crowd.roles.changes if c[0] >= at and c[1] in lost]:
            report.add(f"{LOSSES} leaders of {AREAS} areas lost at once, to the label swapped", when - at, "s")
        await crowd.revive(dead)
        await crowd.settled(120)
    assert crowd.roles.doubled == []


async def _idle(crowd: Crowd, controller: psutil.Process, report: Report) -> None:
    """What a world in which nothing happens costs."""
    await asyncio.sleep(8)  # what comes of the making of it ends
    number = len(crowd.areas)
    asked, used = crowd.loopback.audit(), sum(controller.cpu_times()[:2])
    await asyncio.sleep(IDLE_SECONDS)  # what is counted is what happens while nothing does
    report.add(f"API requests of an idle world, {number} areas", (crowd.loopback.audit() - asked) / IDLE_SECONDS, "1/s")
    cpu = (sum(controller.cpu_times()[:2]) - used) / IDLE_SECONDS
    report.add(f"processor time of an idle controller, {number} areas", 100 * cpu, "%")
    report.add(f"controller's memory, {number} areas", controller.memory_info().rss / 1e6, "MB")
