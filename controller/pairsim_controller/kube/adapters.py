"""The adapters of the reconciler in a cluster: pods, `Area` objects and an API server.

They implement `reconcile.ports`.

Every write and every request first checks that this controller still holds the lease. After the lease is lost another
controller may be at work, and `LeaseLostError` ends the round.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Sequence

import msgspec
import structlog

from pairsim.client import ProcessClient
from pairsim.model.authority import PlaneMap
from pairsim.model.labels import PLANE_LABEL, RELEASE_FINALIZER
from pairsim.model.status import ReplicaStatus, Role
from pairsim_controller.kube.api.objects import Pod
from pairsim_controller.kube.api.port import PODS, Api, ApiError, KeyQueue
from pairsim_controller.kube.area_writer import AreaContext, AreaWriter
from pairsim_controller.kube.cluster_cache import ClusterCache
from pairsim_controller.kube.metrics import ControllerMetrics
from pairsim_controller.kube.plane_reconciler import PlaneReconciler
from pairsim_controller.kube.pods import is_mislabelled, label_of, label_patch
from pairsim_controller.kube.status.takeovers import last_takeover
from pairsim_controller.plan.authority import MapRecord
from pairsim_controller.plan.view import (
    Assign,
    BackUp,
    GrantAuthority,
    KeepWarmEngine,
    Label,
    Release,
    Report,
    Request,
    ResendAssignment,
    SetLabel,
    Switchover,
    View,
)
from pairsim_controller.reconcile.backup_folder import BackupFolder
from pairsim_controller.reconcile.dispatcher import Dispatcher
from pairsim_controller.story.entry import plain_entry

log = structlog.get_logger()

STATUS_DELAY_SECONDS = 0.3
"""Seconds that a status sync waits, so that a takeover is written once."""

_PLACES_AT_ONCE = 16
"""Numbers of new areas that are written side by side."""

_METRIC_NAMES: dict[type, str] = {
    Assign: "assign",
    ResendAssignment: "remind",
    Release: "release",
    BackUp: "backup",
    Switchover: "switchover",
    KeepWarmEngine: "warm_engine",
    GrantAuthority: "grant",
}
"""The value of the metric label `order` for each kind of request."""


class LeaseLostError(Exception):
    """Another controller may be at work: nothing is written or requested any more."""


class LeaseFence:
    """The check that stands before every write and every request."""

    def __init__(self, holds: Callable[[], bool]) -> None:
        """`holds` returns whether the lease is still held."""
        self._holds = holds

    def check(self) -> None:
        """Raises LeaseLostError if the lease may be lost."""
        if not self._holds():
            raise LeaseLostError


class ClusterRecordStore:
    """Assignments in the status of `Area` objects, protected by a finalizer."""

    def __init__(self, cache: ClusterCache, writer: AreaWriter, fence: LeaseFence) -> None:
        self._cache, self._writer, self._fence = cache, writer, fence

    def manages(self, area: str) -> bool:
        """Returns whether the object exists; the members of a deleted area were released before it went."""
        return area in self._cache.contexts and self._cache.areas.get(area) is not None

    def claimed(self, area: str) -> bool:
        """Returns whether the object has the finalizer."""
        found = self._cache.areas.get(area)
        return found is None or RELEASE_FINALIZER in found.metadata.finalizers

    async def claim(self, area: str) -> None:
        """Adds the finalizer. Raises ApiError."""
        found = self._cache.areas.get(area)
        if found is not None:
            self._fence.check()
            await self._writer.add_finalizer(found)

    async def write(self, view: View) -> None:
        """Writes the assignment of a view into the status, unless the API server has it. Raises ApiError."""
        context = self._cache.contexts.get(view.area)
        if context is not None and not self._writer.is_written(context, view.recorded):
            self._fence.check()
            await self._writer.write_assignment(context, view, time.monotonic(), time.time())

    async def forget(self, area: str) -> None:
        """Removes the finalizer, so that the deletion proceeds. Raises ApiError."""
        found = self._cache.areas.get(area)
        if found is not None and RELEASE_FINALIZER in found.metadata.finalizers:
            self._fence.check()
            await self._writer.remove_finalizer(found)


class ClusterMapStore:
    """The records of maps in the status of `Plane` objects, with the numbers in the statuses of their areas.

    The status of the plane is written first, on the version that was read: of two controllers one has its highest
    number, and only this one gives numbers above the last. A number that could not be written is never used.
    """

    def __init__(
        self,
        cache: ClusterCache,
        writer: AreaWriter,
        planes: PlaneReconciler,
        fence: LeaseFence,
        view: Callable[[str], View],
    ) -> None:
        """`view` returns the present view of an area."""
        self._cache, self._writer, self._planes, self._fence, self._view = cache, writer, planes, fence, view

    def recorded(self, plane: str) -> MapRecord | None:
        """Returns the record as the API server has it; None if the plane is gone."""
        found = self._cache.planes.get(plane)
        if found is None:
            return None
        areas = self._cache.areas_of(plane)
        numbers = {area.metadata.name: area.status.number for area in areas if area.status.number}
        status = found.status
        return MapRecord(
            version=status.version, highest=status.highest_number, numbers=numbers, digest=status.map_digest
        )

    async def write(self, record: MapRecord, made: PlaneMap) -> None:
        """Writes the plane, then the areas that have another number or cell. Raises ApiError."""
        self._fence.check()
        await self._planes.write_map(made.plane, record)
        cells = {cell.area: cell for cell in made.cells}
        changed = []
        for area in self._cache.areas_of(made.plane):
            name = area.metadata.name
            context, cell = self._cache.contexts.get(name), cells.get(name)
            number, box = (cell.number, cell.bounds) if cell is not None else (0, None)
            if context is not None and (context.number, context.cell) != (number, box):
                context.number, context.cell = number, box
                changed.append((name, context))
        turns = asyncio.Semaphore(_PLACES_AT_ONCE)
        results = await asyncio.gather(*(self._place(*one, turns) for one in changed), return_exceptions=True)
        for error in results:
            if error is not None:
                raise error
        self._check_kept(record, made)

    def _check_kept(self, record: MapRecord, made: PlaneMap) -> None:
        """Raises ApiError if the API server left something out, as it does with the CRDs of an earlier release."""
        kept = self.recorded(made.plane)
        numbers = {cell.area: cell.number for cell in made.cells}
        if kept is None or (kept.version, kept.digest) != (record.version, record.digest) or numbers != kept.numbers:
            raise ApiError(f"the map of plane {made.plane} was not kept: apply the newest manifests/cluster")

    async def _place(self, name: str, context: AreaContext, turns: asyncio.Semaphore) -> None:
        async with turns:
            self._fence.check()
            await self._writer.write_place(context, self._view(name), time.monotonic(), time.time())


class ActivationTimes:
    """When each replica first reported that it is the active of its newest term."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[int, float]] = {}

    def on_active(self, status: ReplicaStatus, now: float) -> None:
        """Takes in the status of an active; `now` is a monotonic time in seconds."""
        if self._since.get(status.replica, (0, 0.0))[0] != status.term:
            self._since[status.replica] = status.term, now

    def remove(self, name: str) -> None:
        """Forgets a replica that is gone."""
        self._since.pop(name, None)

    def since(self, name: str, term: int) -> float | None:
        """Returns when a replica became the active of a term; None if it did not report that."""
        known, at = self._since.get(name, (0, 0.0))
        return at if known == term else None


class ClusterLabelWriter:
    """Role labels on pods; the time that a new active waits for its label is measured."""

    def __init__(
        self, api: Api, cache: ClusterCache, activations: ActivationTimes, metrics: ControllerMetrics, fence: LeaseFence
    ) -> None:
        self._api, self._cache, self._activations = api, cache, activations
        self._metrics, self._fence = metrics, fence

    async def apply(self, change: SetLabel) -> None:
        """Applies the labels to the pod as it was read; nothing happens if the pod is gone. Raises ApiError."""
        pod, label = self._cache.pods.get(change.replica), change.label
        if pod is None:
            return
        await self._write(pod, label)
        self._metrics.labels.labels(role=label.role.value).inc()
        since = self._activations.since(change.replica, label.term) if label.role is Role.ACTIVE else None
        if since is not None:
            self._metrics.label_seconds.observe(time.monotonic() - since)

    async def restore(self, name: str) -> None:
        """Writes the labels of a pod's manifest if they were edited, and leaves its role. Raises ApiError."""
        pod = self._cache.pods.get(name)
        if pod is not None and is_mislabelled(pod):
            log.warning("labels of a pod were edited: restored", pod=name)
            await self._write(pod, label_of(pod))

    async def _write(self, pod: Pod, label: Label | None) -> None:
        area = self._cache.areas.get(label.area) if label is not None else None
        plane = area.spec.plane if area is not None else pod.metadata.labels.get(PLANE_LABEL, "")
        self._fence.check()
        body = await self._api.apply(PODS, label_patch(pod, label, plane))
        self._cache.on_label_written(pod.metadata.name, body)


class ClusterProcessGateway:
    """Requests to pods; each is counted."""

    def __init__(
        self, cache: ClusterCache, dispatcher: Dispatcher, metrics: ControllerMetrics, fence: LeaseFence
    ) -> None:
        self._cache, self._dispatcher, self._metrics, self._fence = cache, dispatcher, metrics, fence

    def all_heard(self) -> bool:
        """Returns whether every pod has sent a status, or had the time for it."""
        return self._cache.all_heard(time.monotonic())

    def dispatch(self, request: Request) -> None:
        """Sends a request in the background."""
        self._fence.check()
        self._metrics.orders.labels(order=_METRIC_NAMES[type(request)]).inc()
        self._dispatcher.dispatch(request)

    def failing(self, area: str, now: float, busy: Collection[str]) -> Iterable[Report]:
        """Returns a report for each request about an area that fails again and again."""
        return self._dispatcher.failing(area, now, busy)


class ClusterReporter:
    """What happens and what lasts: entries of the history, conditions and events; the status sync writes them later."""

    def __init__(
        self, cache: ClusterCache, writer: AreaWriter, metrics: ControllerMetrics, status_queue: KeyQueue
    ) -> None:
        self._cache, self._writer, self._metrics, self._status_queue = cache, writer, metrics, status_queue

    def observe(self, view: View, now: float) -> None:
        """Adds what follows from a view of an area to the history, and counts a change of the active."""
        context = self._cache.contexts.get(view.area)
        if context is None:
            return
        wall = time.time()
        found = context.story.observe(view, now, wall)
        self._writer.tell(context, found.entries)
        change = last_takeover(found.change, wall)
        if change is not None:
            context.last_takeover = change
            self._metrics.count_change(change)

    def publish(self, area: str, reports: Sequence[Report], now: float) -> None:
        """Takes in the problems of an area, and queues a status sync."""
        context = self._cache.contexts.get(area)
        if context is not None:
            wall = time.time()
            new = context.warnings.new_warnings(map(self._explained, reports), now)
            self._writer.tell(context, [plain_entry("problem", area, report.message, wall) for report in new])
        self._status_queue.add_after(area, STATUS_DELAY_SECONDS)

    def _explained(self, report: Report) -> Report:
        """Adds to a report about a missing process why its pod is missing."""
        problem = self._cache.pool_problems.message(report.needs) if report.needs is not None else ""
        if not problem:
            return report
        return msgspec.structs.replace(report, message=f"{report.message}; {problem}", blocked=problem)


class ClusterBackupStore:
    """Backups of deleted areas: a file, whose name the status of the `Area` records."""

    def __init__(self, cache: ClusterCache, folder: BackupFolder | None, status_queue: KeyQueue) -> None:
        """Makes no backups without a folder."""
        self._cache, self._folder, self._status_queue = cache, folder, status_queue

    async def back_up(self, client: ProcessClient, area: str) -> None:
        """Writes the file, and queues the status sync; members are released when the status names the file.

        Raises:
            BackupError, ClientError: The backup failed.
        """
        context = self._cache.contexts.get(area)
        if context is None or context.backup or self._folder is None:
            return
        context.backup = await self._folder.write(client, area)
        self._status_queue.add(area)
