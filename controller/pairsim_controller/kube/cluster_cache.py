"""The controller's view of a cluster: objects of the API server and statuses of processes, put into one fleet index."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable

import msgspec

from pairsim.client import ProcessClient
from pairsim.model.status import ReplicaStatus, Role
from pairsim_controller.kube.api.object_store import ObjectStore
from pairsim_controller.kube.api.objects import AreaObject, DeploymentObject, PlaneObject, Pod
from pairsim_controller.kube.api.port import AREAS, DEPLOYMENTS, PLANES, PODS, Body, Resource
from pairsim_controller.kube.area_writer import AreaContext
from pairsim_controller.kube.desired import desired_area, spec_of
from pairsim_controller.kube.pods import FINISHED_PHASES, belongs_to_world, label_of, process_of
from pairsim_controller.kube.pool_problems import PoolProblems
from pairsim_controller.plan.fleet_index import DesiredArea, FleetIndex
from pairsim_controller.plan.view import Kind, ObservedProcess
from pairsim_controller.reconcile.reconnect_pace import ReconnectPace
from pairsim_controller.reconcile.status_watcher import StatusWatcher

_FIRST_STATUS_SECONDS = 3.0
"""Seconds after which a process that has not been heard counts as unreachable."""


class ClusterCache:
    """The objects of one namespace, and a status watcher for each pod.

    Attributes:
        pods, areas, planes: The newest known version of each object.
        pool_problems: Why pods are missing.
        contexts: The state that the controller keeps for each area, by name.
    """

    def __init__(
        self,
        index: FleetIndex,
        token: str,
        *,
        on_active: Callable[[ReplicaStatus, float], None],
        on_pool_change: Callable[[Kind], None] = lambda _kind: None,
        backups: bool = False,
    ) -> None:
        """Creates an empty cache.

        Args:
            index: Receives everything that the cache learns.
            token: The token of the simulators' control paths.
            on_active: Called with each status of an active, and with its monotonic time.
            on_pool_change: Called when another problem keeps processes of a kind from starting, or none any more.
            backups: Whether deleted areas are backed up.
        """
        # All pods of the namespace are watched, since labels may be edited; those of other programs are not kept.
        self.pods = ObjectStore(Pod, accepts=belongs_to_world)
        self.areas, self.planes = ObjectStore(AreaObject), ObjectStore(PlaneObject)
        self._deployments = ObjectStore(DeploymentObject)
        self.pool_problems = PoolProblems(on_pool_change)
        self.contexts: dict[str, AreaContext] = {}
        self._index, self._token, self._on_active, self._backups = index, token, on_active, backups
        self._areas_of: defaultdict[str, set[str]] = defaultdict(set)
        self._unblocked: set[str] = set()
        self._watchers: dict[str, tuple[str, StatusWatcher]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._pace = ReconnectPace()
        self._started_at = time.monotonic()

    # --- objects

    def on_event(self, resource: Resource, name: str, body: Body | None) -> None:
        """Takes in the current version of a pod, area or plane; None if it was deleted."""
        if resource == PODS:
            self._on_pod(name, body)
        elif resource == AREAS:
            self._on_area(name, body)
        elif resource == PLANES:
            self._on_plane(name, body)
        elif resource == DEPLOYMENTS:
            self._on_deployment(name, body)

    def on_label_written(self, name: str, body: Body) -> None:
        """Takes in the answer to a write of a pod's labels, unless the pod was deleted in the meantime."""
        self._set_pod(name, self.pods.apply_response(body))

    def _on_pod(self, name: str, body: Body | None) -> None:
        if body is None:
            self.pods.remove(name)
            self.pool_problems.on_pod(name, None)
            self._index.remove_process(name)
            self._watch(name, None)
        else:
            self._set_pod(name, self.pods.apply_event(body))

    def _on_deployment(self, name: str, body: Body | None) -> None:
        if body is None:
            self._deployments.remove(name)
            self.pool_problems.on_deployment(name, None)
        elif (found := self._deployments.apply_event(body)) is not None:
            self.pool_problems.on_deployment(name, found)

    def _set_pod(self, name: str, pod: Pod | None) -> None:
        process = process_of(pod) if pod is not None else None
        if pod is not None and process is not None:
            self.pool_problems.on_pod(name, pod)
            self._index.set_process(process)
            self._index.set_label(name, label_of(pod))
            # Also before its container is known to run: the API server knows that later than the process reports it.
            self._watch(name, process if process.url and pod.status.phase not in FINISHED_PHASES else None)

    def _on_area(self, name: str, body: Body | None) -> None:
        if body is None:
            before = self.areas.get(name)
            self.areas.remove(name)
            self.contexts.pop(name, None)
            self._index.set_desired(name, None)
            self._index.set_record(name, None)
            if before is not None:
                self._areas_of[before.spec.plane].discard(name)
                self._recompute_plane(before.spec.plane)
            return
        area = self.areas.apply_event(body)
        if area is None:
            return
        self._areas_of[area.spec.plane].add(name)
        context = self.contexts.get(name)
        if context is None or context.uid != area.metadata.uid:
            self.contexts[name] = AreaContext(area)
            self._unblocked.discard(name)
            stored = area.status.assignment
            spec = spec_of(area, self.planes.get(area.spec.plane))
            self._index.set_record(name, stored.assignment(spec) if stored is not None else None)
        self._recompute(area)

    def _on_plane(self, name: str, body: Body | None) -> None:
        before = self.planes.get(name)
        if body is None:
            self.planes.remove(name)
        elif self.planes.apply_event(body) is None:
            return
        after = self.planes.get(name)
        if before is None or after is None or _area_inputs(before) != _area_inputs(after):
            self._recompute_plane(name)

    # --- desired areas

    def areas_of(self, plane: str) -> list[AreaObject]:
        """Returns the areas of a plane, ordered by name."""
        return [area for name in sorted(self._areas_of[plane]) if (area := self.areas.get(name)) is not None]

    def recompute_desired(self, name: str) -> None:
        """Recomputes what the user wants of an area, after its status was written."""
        area = self.areas.get(name)
        if area is not None:
            self._recompute(area)

    def _recompute_plane(self, plane: str) -> None:
        for name in sorted(self._areas_of[plane]):
            self.recompute_desired(name)

    def _recompute(self, area: AreaObject) -> None:
        name, plane = area.metadata.name, self.planes.get(area.spec.plane)
        siblings = () if name in self._unblocked else self.areas_of(area.spec.plane)
        desired = desired_area(area, plane, siblings, backups=self._backups)
        recorded = self._index.record(name)
        if desired.spec is not None and plane is not None:
            if not desired.blocked_reason:
                self._unblocked.add(name)
            if recorded is not None and not recorded.spec.simulator:  # the area was read before its plane
                self._index.set_record(name, msgspec.structs.replace(recorded, spec=desired.spec))
            elif recorded is not None and recorded.spec != desired.spec:
                reason = f"plane {area.spec.plane} was made anew with other values: make it as it was"
                desired = DesiredArea(recorded.spec, blocked_reason=reason)
        self._index.set_desired(name, desired)

    # --- statuses

    def client(self, name: str) -> ProcessClient | None:
        """Returns the client for requests to one process; None if the process is gone."""
        watched = self._watchers.get(name)
        return watched[1].client if watched is not None else None

    def all_heard(self, now: float) -> bool:
        """Returns whether every process has sent a status, or had `_FIRST_STATUS_SECONDS` to do so."""
        return now - self._started_at > _FIRST_STATUS_SECONDS or all(
            watcher.status is not None for _url, watcher in self._watchers.values()
        )

    async def close(self) -> None:
        """Closes all status watchers."""
        for name in list(self._watchers):
            self._watch(name, None)
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _watch(self, name: str, process: ObservedProcess | None) -> None:
        """Watches a process at its present address; None ends the watch."""
        watched = self._watchers.get(name)
        if watched is not None and (process is None or process.url != watched[0]):
            del self._watchers[name]
            task = asyncio.create_task(watched[1].close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
            self._index.on_status(name, None, time.monotonic())
        if process is not None and name not in self._watchers:
            watcher = StatusWatcher(
                name, process.url, process.kind, self._token, lambda: self._on_status(name), self._pace
            )
            self._watchers[name] = process.url, watcher
            self._index.on_status(name, None, time.monotonic())

    def _on_status(self, name: str) -> None:
        watched = self._watchers.get(name)
        if watched is None:
            return
        now, status = time.monotonic(), watched[1].status
        if isinstance(status, ReplicaStatus) and status.role is Role.ACTIVE:
            self._on_active(status, now)
        self._index.on_status(name, status, now)


def _area_inputs(plane: PlaneObject) -> object:
    """Returns the parts of a plane that its areas depend on."""
    return plane.metadata.uid, plane.spec, plane.metadata.paused
