"""A harness for the cluster adapter: an API server in memory, and processes that answer over real sockets."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pairsim_controller.kube.adapters import LeaseLostError
from pairsim_controller.kube.api.objects import AreaObject, AreaStatus
from pairsim_controller.kube.api.port import AREAS, PLANES, PODS, ApiError
from pairsim_controller.kube.cluster import Cluster
from pairsim_controller.kube.metrics import ControllerMetrics
from pairsim_controller.reconcile.backup_folder import BackupFolder
from pairsim_controller.story.history import History
from tests.unit.controller.fake_processes import TOKEN, FakeProcesses
from tests.unit.controller.memory_api import MemoryApi
from tests.unit.controller.test_pods import base_labels

DEADLINE = 8.0
_RETRY = 0.02


class FakeQueue:
    """A work queue: one task at a time works on a key, and again if the key was added in the meantime."""

    def __init__(self) -> None:
        self.handler: Callable[[str], Awaitable[None]] | None = None
        self.failures = 0
        self._waiting: dict[str, None] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._timers: set[asyncio.TimerHandle] = set()
        self.crashed: list[BaseException] = []

    def add(self, key: str) -> None:
        self._waiting[key] = None
        self._go()

    def add_after(self, key: str, seconds: float) -> None:
        timer = asyncio.get_running_loop().call_later(seconds, lambda: (self._timers.discard(timer), self.add(key)))
        self._timers.add(timer)

    def start(self, handler: Callable[[str], Awaitable[None]]) -> None:
        self.handler = handler
        self._go()

    async def close(self) -> None:
        self.handler = None
        for timer in self._timers:
            timer.cancel()
        for task in list(self._tasks.values()):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _go(self) -> None:
        for key in [k for k in self._waiting if k not in self._tasks]:
            if self.handler is not None:
                del self._waiting[key]
                self._tasks[key] = asyncio.get_running_loop().create_task(self._work(key, self.handler))

    async def _work(self, key: str, handler: Callable[[str], Awaitable[None]]) -> None:
        try:
            await handler(key)
        except ApiError:
            self.failures += 1
            self.add_after(key, _RETRY)
        except LeaseLostError:
            self.failures += 1
        except Exception as error:  # noqa: BLE001 - the test sees it
            self.crashed.append(error)
        finally:
            self._tasks.pop(key, None)
            if self.handler is not None:
                self._go()


class Controller:
    """One controller that holds the lease."""

    def __init__(self, api: MemoryApi, backups: BackupFolder | None = None) -> None:
        self.api, self.holds = api, True
        self.reconcile_queue, self.status_queue = FakeQueue(), FakeQueue()
        self.meters, self.history = ControllerMetrics(), History()
        self.cluster = Cluster(
            api,
            self.reconcile_queue,
            self.status_queue,
            TOKEN,
            metrics=self.meters,
            holds=lambda: self.holds,
            backups=backups,
            history=self.history,
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self.api.watch(self.cluster.on_event)
        self._task = asyncio.create_task(self.cluster.run())
        self.reconcile_queue.start(self.cluster.reconcile)
        self.status_queue.start(self.cluster.sync_status)

    async def stop(self) -> None:
        """Stops as a killed controller does: nothing more is written or requested."""
        if self.cluster.on_event in self.api.watchers:
            self.api.watchers.remove(self.cluster.on_event)
        await self.reconcile_queue.close()
        await self.status_queue.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        assert not self.reconcile_queue.crashed, self.reconcile_queue.crashed
        assert not self.status_queue.crashed, self.status_queue.crashed


class ClusterHarness:
    """A cluster: an API server in memory, fake processes, and controllers."""

    def __init__(self) -> None:
        self.api, self.replicas = MemoryApi(), FakeProcesses()
        self.controllers: list[Controller] = []
        self._numbers = itertools.count(1)

    async def controller(self, backups: Path | None = None) -> Controller:
        made = Controller(self.api, BackupFolder(backups) if backups is not None else None)
        self.controllers.append(made)
        await made.start()
        return made

    async def pod(self, name: str, node: str = "") -> None:
        fake = await self.replicas.add(name)
        kind = "witness" if fake.witness else "simulator"
        self.api.put(
            PODS,
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": name,
                    "labels": base_labels(kind),
                },
                "spec": {
                    "nodeName": node or f"node-{next(self._numbers)}",
                    "containers": [
                        {
                            "name": kind,
                            "ports": [
                                {"name": "http", "containerPort": fake.port},
                                {"name": "peer", "containerPort": 10_000 + next(self._numbers)},
                            ],
                        }
                    ],
                },
                "status": {
                    "phase": "Running",
                    "podIP": "127.0.0.1",
                    "containerStatuses": [{"name": kind, "state": {"running": {}}}],
                },
            },
        )

    async def lose(self, name: str) -> None:
        """Removes a pod; the passive takes over."""
        await self.replicas.fakes[name].stop()
        area = next(iter(self.replicas.fakes[name].has), "")
        if self.replicas.actives.get(area) == name:
            other = next(m.replica for m in self.replicas.fakes[name].has[area].replicas if m.replica != name)
            self.replicas.lead(area, other)
        self.api.remove(PODS, name)

    def world(self, *areas: str, **plane: Any) -> None:
        """Adds a plane, and areas side by side."""
        bounds = {"min": [0, 0, 0], "max": [1000, 1, 1]}
        self.api.put(
            PLANES, {"metadata": {"name": "physics"}, "spec": {"simulator": "physics", "bounds": bounds, **plane}}
        )
        for number, area in enumerate(areas):
            self.area(area, number)

    def area(self, name: str, number: int, **spec: Any) -> None:
        bounds = {"min": [number, 0, 0], "max": [number + 1, 1, 1]}
        self.api.put(
            AREAS, {"metadata": {"name": name}, "spec": {"plane": "physics", "bounds": bounds, "entities": 7, **spec}}
        )

    def status(self, area: str) -> AreaStatus:
        import msgspec  # noqa: PLC0415 - read as the controller reads it

        return msgspec.convert(self.api.get(AREAS, area), AreaObject).status

    def label(self, name: str) -> tuple[str, str, str]:
        return self.api.labels[-1].get(name, ("", "", ""))

    def roles(self, area: str) -> dict[str, str]:
        return {name: role for name, (role, where, _term) in self.api.labels[-1].items() if where == area}

    async def until(self, what: Callable[[], object], why: str = "") -> None:
        end = time.monotonic() + DEADLINE
        while not what():
            assert time.monotonic() < end, why or f"not within {DEADLINE:g} s: {self.api.labels[-1:]}"
            await asyncio.sleep(0.005)

    async def paired(self, area: str = "west") -> None:
        """Waits until an area is a pair and its status says so."""
        await self.until(lambda: sorted(self.roles(area).values()) == ["active", "passive"])
        await self.until(lambda: (c := self.status(area).condition("Redundant")) is not None and c.status == "True")


@asynccontextmanager
async def cluster_harness(
    simulators: int = 3, witnesses: int = 1, areas: tuple[str, ...] = ("west",)
) -> AsyncIterator[ClusterHarness]:
    """Yields a cluster with pods and areas, and without a controller."""
    made = ClusterHarness()
    for number in range(1, simulators + 1):
        await made.pod(f"sim-{number}")
    for number in range(1, witnesses + 1):
        await made.pod(f"witness-{number}")
    made.world(*areas)
    try:
        yield made
    finally:
        for controller in made.controllers:
            await controller.stop()
        await made.replicas.close()
