"""Without the lease nothing is written and nothing is requested, wherever the lease was lost in a round."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from pairsim.model.status import Role
from pairsim_controller.kube.adapters import (
    ActivationTimes,
    ClusterLabelWriter,
    ClusterProcessGateway,
    ClusterRecordStore,
    LeaseFence,
    LeaseLostError,
)
from pairsim_controller.kube.api.objects import AreaObject
from pairsim_controller.kube.api.port import AREAS, PLANES, PODS, ApiError, ChangedError
from pairsim_controller.kube.area_writer import AreaWriter
from pairsim_controller.kube.cluster import RECHECK_SECONDS, Cluster
from pairsim_controller.kube.cluster_cache import ClusterCache
from pairsim_controller.kube.metrics import ControllerMetrics
from pairsim_controller.plan.fleet_index import FleetIndex
from pairsim_controller.plan.view import Label, Release, SetLabel, View
from pairsim_controller.reconcile.dispatcher import Dispatcher
from pairsim_controller.story.history import History
from tests.unit.controller.builders import assignment
from tests.unit.controller.memory_api import MemoryApi
from tests.unit.controller.test_pods import base_labels

BOUNDS = {"min": [0, 0, 0], "max": [1, 1, 1]}
RECORDED = assignment("sim-1", "sim-2", "witness-1")


class RecordingQueue:
    """A work queue that works on nothing."""

    def __init__(self) -> None:
        self.added: list[str] = []
        self.delayed: list[tuple[str, float]] = []

    def add(self, key: str) -> None:
        self.added.append(key)

    def add_after(self, key: str, seconds: float) -> None:
        self.delayed.append((key, seconds))


class AreaInCluster:
    """One area in an API server in memory, and the adapters of a controller that may lose the lease."""

    def __init__(self, *finalizers: str) -> None:
        self.api, self.holds = MemoryApi(), True
        self.sent: list[object] = []
        self.api.put(PLANES, {"metadata": {"name": "physics"}, "spec": {"simulator": "physics", "bounds": BOUNDS}})
        self.api.put(
            AREAS,
            {
                "metadata": {"name": "west", "finalizers": list(finalizers)},
                "spec": {"plane": "physics", "bounds": BOUNDS},
            },
        )
        pod = {"name": "sim-1", "labels": base_labels("simulator")}
        self.api.put(PODS, {"metadata": pod, "spec": {"containers": [{"name": "simulator"}]}, "status": {}})
        fence, metrics = LeaseFence(lambda: self.holds), ControllerMetrics()
        self.cache = ClusterCache(FleetIndex(lambda _area: None), "token", on_active=lambda *_given: None)
        self.api.watch(self.cache.on_event)
        self.api.watchers.clear()
        writer = AreaWriter(self.api, self.cache.areas, History())
        dispatcher = cast("Dispatcher", SimpleNamespace(dispatch=self.sent.append))
        self.records = ClusterRecordStore(self.cache, writer, fence)
        self.labels = ClusterLabelWriter(self.api, self.cache, ActivationTimes(), metrics, fence)
        self.processes = ClusterProcessGateway(self.cache, dispatcher, metrics, fence)

    def view(self) -> View:
        return FleetIndex(lambda _area: None).view("west", time.monotonic()).with_record(RECORDED)

    async def dispatch(self) -> None:
        self.processes.dispatch(Release("sim-1", "west"))

    async def write(self) -> None:
        await self.records.write(self.view())

    async def claim(self) -> None:
        await self.records.claim("west")

    async def forget(self) -> None:
        await self.records.forget("west")

    async def label(self) -> None:
        await self.labels.apply(SetLabel("sim-1", Label("west", Role.PASSIVE, 1)))


STEPS: dict[str, Callable[[AreaInCluster], Awaitable[None]]] = {
    "request": AreaInCluster.dispatch,
    "record": AreaInCluster.write,
    "claim": AreaInCluster.claim,
    "forget": AreaInCluster.forget,
    "label": AreaInCluster.label,
}


@pytest.mark.parametrize("step", STEPS)
async def test_each_step_of_a_round_checks_the_lease_itself(step: str) -> None:
    """A round takes a while, and the lease may be lost between any two of its steps."""
    area = AreaInCluster(*(["pairsim.io/release"] if step == "forget" else []))
    area.holds = False
    with pytest.raises(LeaseLostError):
        await STEPS[step](area)
    assert (area.sent, area.api.requests) == ([], [])
    area.holds = True
    await STEPS[step](area)
    assert len(area.sent) + len(area.api.requests) == 1


async def test_a_record_that_the_api_server_has_is_not_written_again() -> None:
    area = AreaInCluster()
    await area.write()
    await area.write()
    assert area.api.requests == [("areas/status", "west")]
    stored = msgspec.convert(area.api.get(AREAS, "west"), AreaObject).status.assignment
    assert stored is not None
    assert stored.assignment(RECORDED.spec) == RECORDED


async def test_an_area_is_claimed_and_forgotten_once() -> None:
    area = AreaInCluster()
    for _time in range(2):
        await area.claim()
    assert area.records.claimed("west")
    for _time in range(2):
        await area.forget()
    assert not area.records.claimed("west")
    assert len(area.api.requests) == 2


# --- the queues


def cluster(api: MemoryApi, *, holds: bool = True) -> tuple[Cluster, RecordingQueue, RecordingQueue]:
    reconcile_queue, status_queue = RecordingQueue(), RecordingQueue()
    made = Cluster(
        api, reconcile_queue, status_queue, "token", metrics=ControllerMetrics(), holds=lambda: holds
    )  # fmt: skip
    return made, reconcile_queue, status_queue


def rounds(made: Cluster, outcome: bool | Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets every round of a cluster end in one way."""

    async def reconcile(_area: str) -> bool:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(made._reconciler, "reconcile", reconcile)


@pytest.mark.parametrize(
    ("outcome", "longest"),
    [(ChangedError("sim-1 changed"), RECHECK_SECONDS / 2), (False, RECHECK_SECONDS), (True, None)],
)
async def test_a_round_that_is_not_done_is_repeated_without_an_event(
    outcome: bool | Exception, longest: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event of the other writer may have come before the conflict, and then no event follows."""
    made, queue, _status_queue = cluster(MemoryApi())
    rounds(made, outcome, monkeypatch)
    await made.reconcile("west")
    assert [area for area, _seconds in queue.delayed] == ([] if longest is None else ["west"])
    assert all(longest is not None and seconds <= longest for _area, seconds in queue.delayed)


async def test_a_failed_round_is_left_to_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    made, queue, _status_queue = cluster(MemoryApi())
    for error in (ApiError("500"), LeaseLostError()):
        rounds(made, error, monkeypatch)
        with pytest.raises(type(error)):
            await made.reconcile("west")
    assert queue.delayed == []


@pytest.mark.parametrize("key", ["west", "plane/physics"])
async def test_no_status_is_written_without_the_lease(key: str) -> None:
    area = AreaInCluster()
    made, _queue, _status_queue = cluster(area.api, holds=False)
    area.api.watch(made.on_event)
    with pytest.raises(LeaseLostError):
        await made.sync_status(key)
    assert (area.api.requests, area.api.events) == ([], [])


def owned(api: MemoryApi) -> set[str]:
    return {name for plural, name in api.objects if plural in {"services", "poddisruptionbudgets"}}


async def test_the_objects_of_an_area_that_is_being_deleted_are_not_made_again() -> None:
    for deleted in (False, True):
        area = AreaInCluster("pairsim.io/release")
        if deleted:
            area.api.remove(AREAS, "west")
        made, _queue, _status_queue = cluster(area.api)
        area.api.watch(made.on_event)
        await made.sync_status("west")
        found: Any = owned(area.api)
        assert found == (set() if deleted else {"west", "west-any"})
