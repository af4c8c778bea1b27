"""The reconciler on a model world, with ports that fail at random: in memory, of the local and of the cluster adapter.

A rig checks the two promises that every adapter relies on: no request is sent before its assignment is durable, and no
state of the labels shows two actives of an area.
"""

from __future__ import annotations

import asyncio
import errno
import random
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec

from pairsim.model.assignment import Assignment
from pairsim.model.status import ReplicaStatus, Role, WitnessStatus
from pairsim_controller.kube.adapters import (
    ActivationTimes,
    ClusterLabelWriter,
    ClusterRecordStore,
    ClusterReporter,
    LeaseFence,
)
from pairsim_controller.kube.api.objects import AreaObject, Pod
from pairsim_controller.kube.api.port import AREAS, PLANES, PODS, ApiError, Resource
from pairsim_controller.kube.area_writer import AreaWriter
from pairsim_controller.kube.cluster_cache import ClusterCache
from pairsim_controller.kube.metrics import ControllerMetrics
from pairsim_controller.kube.pods import label_of
from pairsim_controller.local.adapters import LocalLabelWriter, LocalRecordStore, LocalReporter
from pairsim_controller.local.data_folder import DataFolder
from pairsim_controller.plan.fleet_index import NO_AREA, DesiredArea, FleetIndex
from pairsim_controller.plan.view import (
    Assign,
    Kind,
    Label,
    Release,
    Report,
    Request,
    ResendAssignment,
    SetLabel,
    View,
)
from pairsim_controller.reconcile.ports import LabelWriter, RecordStore, Reporter
from pairsim_controller.reconcile.reconciler import Reconciler
from pairsim_controller.story.history import History
from tests.unit.controller.builders import observe, spec
from tests.unit.controller.memory_api import MemoryApi
from tests.unit.controller.model_world import ModelWorld
from tests.unit.controller.test_pods import base_labels


class Chance:
    """Decides at random which calls fail."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.share = 0.2

    def __call__(self) -> bool:
        return self._random.random() < self.share


class Gateway:
    """Requests to the model world; some are lost."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig

    def all_heard(self) -> bool:
        return True

    def dispatch(self, request: Request) -> None:
        durable = self._rig.durable()
        if isinstance(request, Assign):
            area = request.assignment.spec.area
            assert durable.get(area) == request.assignment, "an assignment is durable before it is sent"
        elif isinstance(request, ResendAssignment):
            stored = durable[request.assignment.spec.area]
            assert stored.generation >= request.assignment.generation, "the assignment in force is durable or replaced"
            assert all(map(stored.member, request.targets)), "an assignment is repeated to durable members only"
        elif isinstance(request, Release) and (kept := durable.get(request.area)) is not None:
            assert kept.member(request.target) is None, "no member of the durable assignment is released"
        if not self._rig.fails():
            self._rig.world.receive(request)

    def failing(self, area: str, now: float, busy: Collection[str]) -> Iterable[Report]:
        return ()


class Rig:
    """A model world and a reconciler; a subclass brings the ports."""

    ERRORS: tuple[type[Exception], ...] = ()
    """The errors that the ports may raise."""

    index: FleetIndex

    def __init__(self, world: ModelWorld, seed: int) -> None:
        self.world, self.fails = world, Chance(seed)

    def start_controller(self) -> None:
        """Starts a controller, in place of the present one: only what is durable remains."""
        self.index = FleetIndex(lambda _area: None)
        records, labels, reports = self.make_ports()
        self._reconciler = Reconciler(
            self.index,
            records=records,
            labels=labels,
            processes=Gateway(self),
            reports=reports,
            clock=lambda: self.world.now,
        )

    def make_ports(self) -> tuple[RecordStore, LabelWriter, Reporter]:
        raise NotImplementedError

    def durable(self) -> dict[str, Assignment]:
        """Returns the assignments that would survive the controller."""
        raise NotImplementedError

    def shown(self) -> dict[str, Label]:
        """Returns the labels that a reader sees."""
        raise NotImplementedError

    def observe(self) -> None:
        """Puts the present state of the model world into the index."""
        for seen in self.world.seen.values():
            observe(self.index, seen, self.world.now)

    async def round(self) -> None:
        """Lets the world proceed, and runs one round of every area, side by side."""
        self.world.advance()
        self.observe()
        areas = sorted(self.index.areas() | {NO_AREA})
        results = await asyncio.gather(*map(self._reconciler.reconcile, areas), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, self.ERRORS):
                raise result
        self.check_labels()
        self.world.recorded = self.durable()

    def check_labels(self) -> None:
        actives = Counter(label.area for label in self.shown().values() if label.role is Role.ACTIVE)
        assert all(count == 1 for count in actives.values()), f"two actives: {self.shown()}"


class QuietReporter:
    """Ignores all reports."""

    def observe(self, view: View, now: float) -> None:
        pass

    def publish(self, area: str, reports: Sequence[Report], now: float) -> None:
        pass


class MemoryRig(Rig):
    """Ports in memory. An answer may be lost after the change was made, as over a network."""

    ERRORS = (OSError,)

    def __init__(self, world: ModelWorld, seed: int, _folder: Path) -> None:
        super().__init__(world, seed)
        self._records: dict[str, Assignment] = {}
        self._labels: dict[str, Label] = {}

    def make_ports(self) -> tuple[RecordStore, LabelWriter, Reporter]:
        for area in self.world.areas:
            self.index.set_desired(area, DesiredArea(spec(area)))
            self.index.set_record(area, self._records.get(area))
        return self, self, QuietReporter()

    def durable(self) -> dict[str, Assignment]:
        return dict(self._records)

    def shown(self) -> dict[str, Label]:
        return self._labels

    def observe(self) -> None:
        super().observe()
        for name, label in self._labels.items():
            self.index.set_label(name, label)

    # --- records

    def manages(self, area: str) -> bool:
        return True

    def claimed(self, area: str) -> bool:
        return True

    async def claim(self, area: str) -> None:
        pass

    async def write(self, view: View) -> None:
        if self._records.get(view.area) == view.recorded:
            return
        await self._may_fail()
        if view.recorded is None:
            del self._records[view.area]
        else:
            self._records[view.area] = view.recorded
        await self._may_fail()

    async def forget(self, area: str) -> None:
        self.index.set_desired(area, None)

    # --- labels

    async def apply(self, change: SetLabel) -> None:
        read = self.index.label(change.replica)
        await self._may_fail()
        if self._labels.get(change.replica) != read:
            raise OSError(errno.ESTALE, "the labels changed since they were read")
        self._labels[change.replica] = change.label
        self.check_labels()
        await self._may_fail()
        self.index.set_label(change.replica, change.label)

    async def _may_fail(self) -> None:
        await asyncio.sleep(0)
        if self.fails():
            raise OSError(errno.EIO, "injected")


class LocalRig(Rig):
    """The ports of the local adapter, on a data folder whose disk is full now and then."""

    ERRORS = (OSError,)

    def __init__(self, world: ModelWorld, seed: int, folder: Path) -> None:
        super().__init__(world, seed)
        self._folder = DataFolder(folder)
        record = self._folder.write_assignments

        def may_fail(recorded: dict[str, Assignment]) -> None:
            if self.fails():
                raise OSError(errno.ENOSPC, "No space left on device")
            record(recorded)

        self._folder.write_assignments = may_fail  # type: ignore[method-assign]

    def make_ports(self) -> tuple[RecordStore, LabelWriter, Reporter]:
        history = History()
        records = LocalRecordStore(self._folder, self.index, history)
        for area in self.world.areas:
            self.index.set_desired(area, DesiredArea(spec(area)))
            self.index.set_record(area, records.stored.get(area))
        labels = _CheckedLabels(LocalLabelWriter(self.index), self)
        return records, labels, LocalReporter(history, lambda _name: "")

    def durable(self) -> dict[str, Assignment]:
        return self._folder.assignments()

    def shown(self) -> dict[str, Label]:
        return self.index.labels()


class _CheckedLabels:
    """Checks the labels after each change."""

    def __init__(self, labels: LabelWriter, rig: Rig) -> None:
        self._labels, self._rig = labels, rig

    async def apply(self, change: SetLabel) -> None:
        await self._labels.apply(change)
        self._rig.check_labels()


class FakeWatcher:
    """A status watcher that reads the model world."""

    def __init__(self, world: ModelWorld, name: str, on_change: Callable[[], None]) -> None:
        self._world, self._name, self.on_change = world, name, on_change
        self.client = None

    @property
    def status(self) -> ReplicaStatus | WitnessStatus | None:
        return self._world.seen[self._name].status

    async def close(self) -> None:
        pass


class ClusterRig(Rig):
    """The ports of the cluster adapter, on an API server in memory that checks the labels at each change itself."""

    ERRORS = (ApiError,)

    def __init__(self, world: ModelWorld, seed: int, _folder: Path) -> None:
        super().__init__(world, seed)
        self.api, self.watchers = MemoryApi(), list[FakeWatcher]()
        self.api.fail = self._may_fail
        plane = spec()
        bounds = msgspec.to_builtins(plane.bounds)
        self.api.put(
            PLANES, {"metadata": {"name": plane.plane}, "spec": {"simulator": plane.simulator, "bounds": bounds}}
        )
        for number, area in enumerate(world.areas):
            part = {"min": [number, 0, 0], "max": [number + 1, 1, 1]}
            self.api.put(AREAS, {"metadata": {"name": area}, "spec": {"plane": plane.plane, "bounds": part}})
        for name in world.nodes:
            self.api.put(PODS, self._pod(name))

    def _may_fail(self, resource: Resource, body: dict[str, Any]) -> None:
        if self.fails():
            raise ApiError("injected")

    def _pod(self, name: str) -> dict[str, Any]:
        kind = Kind.WITNESS if self.world.nodes[name].is_witness else Kind.SIMULATOR
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": base_labels(kind.value)},
            "spec": {"containers": [{"name": kind.value}]},
            "status": self._pod_status(name),
        }

    def _pod_status(self, name: str) -> dict[str, Any]:
        node = self.world.nodes[name]
        kind = Kind.WITNESS if node.is_witness else Kind.SIMULATOR
        state = {"running": {}} if node.alive else {"terminated": {}}
        return {"phase": "Running", "podIP": name, "containerStatuses": [{"name": kind.value, "state": state}]}

    def make_ports(self) -> tuple[RecordStore, LabelWriter, Reporter]:
        self.watchers.clear()
        fence, metrics, activations = LeaseFence(lambda: True), ControllerMetrics(), ActivationTimes()
        cache = ClusterCache(self.index, "token", on_active=activations.on_active)
        self.api.watchers.clear()
        self.api.watch(cache.on_event)
        queue = SimpleNamespace(add=lambda _key: None, add_after=lambda _key, _seconds: None)
        labels = ClusterLabelWriter(self.api, cache, activations, metrics, fence)
        writer = AreaWriter(self.api, cache.areas, History())
        return ClusterRecordStore(cache, writer, fence), labels, ClusterReporter(cache, writer, metrics, queue)

    def durable(self) -> dict[str, Assignment]:
        found = {}
        for area in self.world.areas:
            stored = msgspec.convert(self.api.get(AREAS, area), AreaObject).status.assignment
            recorded = self.index.record(area)
            if stored is not None:
                found[area] = stored.assignment(recorded.spec if recorded is not None else spec(area))
        return found

    def shown(self) -> dict[str, Label]:
        pods = {name: msgspec.convert(self.api.get(PODS, name), Pod) for name in self.world.nodes}
        return {name: label for name, pod in pods.items() if (label := label_of(pod)) is not None}

    def observe(self) -> None:
        for name, node in self.world.nodes.items():
            pod, status = self.api.get(PODS, name), self._pod_status(name)
            leaving = "deletionTimestamp" in pod["metadata"]
            if pod["status"] != status or leaving != node.leaving:
                pod["metadata"].pop("deletionTimestamp", None)
                pod["metadata"] |= {"deletionTimestamp": "2030-01-01T00:00:00Z"} if node.leaving else {}
                self.api.put(PODS, {**pod, "status": status})
        for watcher in list(self.watchers):
            watcher.on_change()

    async def round(self) -> None:
        await super().round()
        for _ in range(3):
            await asyncio.sleep(0)  # the watch delivers the changes
