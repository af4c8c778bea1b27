"""The cluster adapter: pods in place of local processes, an API server in place of a data folder.

A `Cluster` lives as long as this controller holds the lease. The next holder starts from the objects in the cluster and
from the statuses of the pods. Two work queues hold the names of areas: the *reconcile queue* (labels, decisions,
requests), which must not wait, and the *status queue* (status, events, Services), which may.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from pairsim.client import ProcessClient
from pairsim.model.authority import WorldMap
from pairsim.model.crossings.conservation import Balance
from pairsim.model.status import Role
from pairsim.model.world_status import WorldStatus
from pairsim_controller.kube.adapters import (
    STATUS_DELAY_SECONDS,
    ActivationTimes,
    ClusterBackupStore,
    ClusterLabelWriter,
    ClusterMapStore,
    ClusterProcessGateway,
    ClusterRecordStore,
    ClusterReporter,
    LeaseFence,
)
from pairsim_controller.kube.api.port import (
    AREAS,
    BUDGETS,
    PLANES,
    PODS,
    SERVICES,
    Api,
    Body,
    ChangedError,
    KeyQueue,
    Resource,
)
from pairsim_controller.kube.area_writer import AreaWriter
from pairsim_controller.kube.cluster_cache import ClusterCache
from pairsim_controller.kube.metrics import ControllerMetrics
from pairsim_controller.kube.plane_reconciler import PlaneReconciler
from pairsim_controller.kube.pods import is_mislabelled
from pairsim_controller.plan.fleet_index import FleetIndex
from pairsim_controller.plan.view import Kind
from pairsim_controller.reconcile.area_counts import AreaCounts, count_areas
from pairsim_controller.reconcile.backup_folder import BackupFolder
from pairsim_controller.reconcile.balances import plane_balances
from pairsim_controller.reconcile.dispatcher import Dispatcher
from pairsim_controller.reconcile.map_issuer import MapIssuer
from pairsim_controller.reconcile.reconciler import Reconciler
from pairsim_controller.reconcile.world_status import cluster_status
from pairsim_controller.story.history import History

log = structlog.get_logger()

RECHECK_SECONDS = 0.5
"""Seconds until the next round of an area that is not as it should be, if no event comes before that."""

_PLANE_PREFIX = "plane/"
"""Marks the names of planes in the status queue."""

_POD_PREFIX, _MAP_PREFIX = "pod/", "map/"
"""Mark the names of pods, and of planes whose map is issued, in the reconcile queue."""

MAP_DELAY_SECONDS = 0.1
"""How long a change waits before the map of its plane is looked at, so that many changes cost one look."""

_MAX_PROMPT_AREAS = 64
"""Up to so many areas of a plane show a new version at once; those of a larger plane with their next status."""

_CONFLICT_SECONDS = 0.02
_REFRESH_SECONDS = 8.0
_FRESH_SECONDS = 15.0


class Cluster:
    """The controller's work on one namespace while it holds the lease."""

    def __init__(
        self,
        api: Api,
        reconcile_queue: KeyQueue,
        status_queue: KeyQueue,
        token: str,
        *,
        metrics: ControllerMetrics,
        holds: Callable[[], bool],
        backups: BackupFolder | None = None,
        history: History | None = None,
    ) -> None:
        """Starts empty: `on_event` must receive everything that a watch lists before the queues are worked on.

        Args:
            api: Receives all writes.
            reconcile_queue: The queue that calls `reconcile`.
            status_queue: The queue that calls `sync_status`.
            token: The token of the simulators' control paths.
            metrics: The metrics to update.
            holds: Returns whether the lease is still held; called before every write and every request.
            backups: The folder for the states of deleted areas; None if they are not kept.
            history: Receives what happens.
        """
        self._reconcile_queue, self._status_queue = reconcile_queue, status_queue
        self._fence = LeaseFence(holds)
        self._index = index = FleetIndex(reconcile_queue.add)
        self._activations = ActivationTimes()
        self._cache = cache = ClusterCache(
            index,
            token,
            on_active=self._activations.on_active,
            on_pool_change=self._on_pool_change,
            backups=backups is not None,
        )
        self._writer = AreaWriter(api, cache.areas, history if history is not None else History())
        self._planes = PlaneReconciler(api, cache.planes, cache.areas_of)
        self._dispatcher = Dispatcher(cache.client, ClusterBackupStore(cache, backups, status_queue))
        self._labels = ClusterLabelWriter(api, cache, self._activations, metrics, self._fence)
        processes = ClusterProcessGateway(cache, self._dispatcher, metrics, self._fence)
        maps = ClusterMapStore(
            cache, self._writer, self._planes, self._fence, lambda area: index.view(area, time.monotonic())
        )
        self._issuer = MapIssuer(index, store=maps, processes=processes)
        self._reconciler = Reconciler(
            index,
            records=ClusterRecordStore(cache, self._writer, self._fence),
            labels=self._labels,
            processes=processes,
            reports=ClusterReporter(cache, self._writer, metrics, status_queue),
        )

    def on_event(self, resource: Resource, name: str, body: Body | None) -> None:
        """Takes in the current version of an object; None if it was deleted."""
        before = self._cache.areas.get(name) if resource == AREAS else None
        self._cache.on_event(resource, name, body)
        if resource == PODS and body is None:
            self._activations.remove(name)
        elif resource == PODS and (pod := self._cache.pods.get(name)) is not None and is_mislabelled(pod):
            # The delay bounds the writes if another client edits the labels again and again.
            self._reconcile_queue.add_after(_POD_PREFIX + name, STATUS_DELAY_SECONDS)
        if resource == PLANES:
            self._status_queue.add_after(_PLANE_PREFIX + name, STATUS_DELAY_SECONDS)
            self._reconcile_queue.add_after(_MAP_PREFIX + name, MAP_DELAY_SECONDS)
        elif resource == AREAS and (of := self._cache.areas.get(name) or before) is not None:
            self._status_queue.add_after(_PLANE_PREFIX + of.spec.plane, STATUS_DELAY_SECONDS)
            self._reconcile_queue.add_after(_MAP_PREFIX + of.spec.plane, MAP_DELAY_SECONDS)
        area: str | None = name if resource == AREAS else None
        if resource in {SERVICES, BUDGETS}:
            area = self._writer.on_owned_object(resource, name, body)
        if area is not None and self._cache.areas.get(area) is not None:
            self._status_queue.add_after(area, STATUS_DELAY_SECONDS)

    def _on_pool_change(self, kind: Kind) -> None:
        for area in self._index.waiting_areas(kind):
            self._reconcile_queue.add(area)

    async def run(self) -> None:
        """Refreshes the numbers in the statuses; ends by cancellation.

        One status is refreshed every few seconds, however many areas there are: an idle world costs almost nothing.
        """
        try:
            while True:
                await asyncio.sleep(_REFRESH_SECONDS)
                now = time.monotonic()
                oldest = min(self._cache.contexts.items(), key=lambda item: item[1].written_at, default=None)
                if oldest is not None and now - oldest[1].written_at > _FRESH_SECONDS:
                    oldest[1].refresh_due = True
                    self._status_queue.add(oldest[0])
        finally:
            await self._dispatcher.close()
            await self._cache.close()

    # --- queries

    def counts(self) -> AreaCounts:
        """Returns the number of areas by state, as their statuses say, and the number of available spares."""
        statuses = [context.announced for context in self._cache.contexts.values()]
        states = [(status.holds("Ready"), status.holds("Redundant")) for status in statuses]
        return count_areas(states, self._index.spare_count())

    def balances(self) -> list[Balance]:
        """Returns whether every entity is accounted for, by plane."""
        areas = (self._cache.areas.get(name) for name in self._cache.contexts)
        return plane_balances(self._index, sorted({area.spec.plane for area in areas if area is not None}))

    def world_status(self) -> WorldStatus:
        """Returns the status of all areas as it is now."""
        now = time.monotonic()
        views = [self._index.view(name, now) for name in sorted(self._cache.contexts)]
        return cluster_status(views, now)

    def world_map(self) -> WorldMap:
        """Returns the newest maps of all planes."""
        return self._issuer.world_map()

    def active_client(self, area: str) -> ProcessClient | None:
        """Returns the client of the active of an area; None while the area has no active."""
        for name, process in self._index.view(area, time.monotonic()).processes.items():
            status = process.replica
            if status is not None and status.area == area and status.role is Role.ACTIVE:
                return self._cache.client(name)
        return None

    # --- work

    async def reconcile(self, area: str) -> None:
        """Runs one round of an area; restores the labels of a pod, or issues the map of a plane, named with a prefix.

        Raises:
            ApiError: The queue repeats the round later.
            LeaseLostError: Nothing may be written any more.
        """
        try:
            if area.startswith(_POD_PREFIX):
                await self._labels.restore(area.removeprefix(_POD_PREFIX))
                return
            if area.startswith(_MAP_PREFIX):
                await self._issue_map(area.removeprefix(_MAP_PREFIX))
                return
            settled = await self._reconciler.reconcile(area)
        except ChangedError as error:
            # The watch delivers the present version within milliseconds.
            log.info("conflict", area=area, reason=str(error))
            self._reconcile_queue.add_after(area, _CONFLICT_SECONDS)
        else:
            context, found = self._cache.contexts.get(area), self._cache.areas.get(area)
            if found is not None:
                self._reconcile_queue.add_after(_MAP_PREFIX + found.spec.plane, MAP_DELAY_SECONDS)
            due_at = context.story.due_at if context is not None else None
            if not settled:
                self._reconcile_queue.add_after(area, RECHECK_SECONDS)
            elif due_at is not None:
                self._reconcile_queue.add_after(area, max(0.0, due_at - time.monotonic()))

    async def _issue_map(self, plane: str) -> None:
        due = await self._issuer.issue(plane)
        if due is not None:
            self._reconcile_queue.add_after(_MAP_PREFIX + plane, due)
        claims = self._index.claims(plane)
        for claim in claims if len(claims) <= _MAX_PROMPT_AREAS else ():
            context = self._cache.contexts.get(claim.area)
            if context is not None and claim.active is not None and claim.active.version != context.written.version:
                context.refresh_due = True
                self._status_queue.add_after(claim.area, STATUS_DELAY_SECONDS)

    async def sync_status(self, key: str) -> None:
        """Writes the status of an area (and the objects that it owns) or of a plane. Raises as `reconcile` does."""
        if key.startswith(_PLANE_PREFIX):
            self._fence.check()
            await self._planes.reconcile(key.removeprefix(_PLANE_PREFIX), time.time())
            return
        context, found = self._cache.contexts.get(key), self._cache.areas.get(key)
        if context is None or found is None:
            return
        self._fence.check()
        now = time.monotonic()
        await self._writer.write_status(context, self._index.view(key, now), now, time.time())
        if found.metadata.deletion_timestamp is None:
            await self._writer.apply_owned(found)
        else:
            self._cache.recompute_desired(key)  # the name of its backup may have been written just now
