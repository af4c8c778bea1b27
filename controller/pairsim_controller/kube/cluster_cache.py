"""What a controller in a cluster sees: objects of the API server and statuses of processes, put into one index."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable

import msgspec

from pairsim.client.client import AreaClient
from pairsim.model.status import ReplicaStatus, Role, WitnessStatus
from pairsim_controller.kube.api.object_store import ObjectStore
from pairsim_controller.kube.api.objects import TERMINATED_PHASES, AreaObject, PlaneObject, Pod
from pairsim_controller.kube.api.port import AREAS, PLANES, PODS, Body, Resource
from pairsim_controller.kube.area_writer import Desk
from pairsim_controller.kube.desired import area_spec, wanted_of
from pairsim_controller.kube.pods import label_of, process_of
from pairsim_controller.plan.fleet_index import Index, Wanted
from pairsim_controller.plan.view import Process
from pairsim_controller.reconcile.status_watcher import Observer

_SETTLE_SECONDS = 3.0

Status = ReplicaStatus | WitnessStatus | None


class Sight:
    """See the module."""

    def __init__(
        self, index: Index, token: str, *, rose: Callable[[ReplicaStatus, float], None], backups: bool = False
    ) -> None:
        """Puts what it sees into `index`; tells `rose` when a replica says that it is the active, and when it did.

        With `backups` areas that are deleted are backed up.
        """
        self.pods, self.areas, self.planes = ObjectStore(Pod), ObjectStore(AreaObject), ObjectStore(PlaneObject)
        self.desks: dict[str, Desk] = {}
        self._index, self._token, self._rose, self._backups = index, token, rose, backups
        self._of_plane: defaultdict[str, set[str]] = defaultdict(set)
        self._unobstructed: set[str] = set()
        self._observers: dict[str, tuple[str, Observer]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._began = time.monotonic()

    # --- what the API server says

    def saw(self, resource: Resource, name: str, body: Body | None) -> None:
        """A pod, area or plane as it is now; None if it is gone."""
        if resource == PODS:
            self._saw_pod(name, body)
        elif resource == AREAS:
            self._saw_area(name, body)
        elif resource == PLANES:
            self._saw_plane(name, body)

    def labelled(self, name: str, body: Body) -> None:
        """A pod as it is now that it was written to from here, if it still is."""
        self._know_pod(name, self.pods.apply_response(body))

    def _saw_pod(self, name: str, body: Body | None) -> None:
        if body is None:
            self.pods.remove(name)
            self._index.drop(name)
            self._follow(name, None)
        else:
            self._know_pod(name, self.pods.apply_event(body))

    def _know_pod(self, name: str, pod: Pod | None) -> None:
        process = process_of(pod) if pod is not None else None
        if pod is not None and process is not None:
            self._index.put(process)
            self._index.label(name, label_of(pod))
            # Not only while its container runs: that is known later than the process itself tells.
            self._follow(name, process if process.url and pod.status.phase not in TERMINATED_PHASES else None)

    def _saw_area(self, name: str, body: Body | None) -> None:
        if body is None:
            before = self.areas.get(name)
            self.areas.remove(name)
            self.desks.pop(name, None)
            self._index.want(name, None)
            self._index.record(name, None)
            if before is not None:
                self._of_plane[before.spec.plane].discard(name)
                self._consider_plane(before.spec.plane)
            return
        area = self.areas.apply_event(body)
        if area is None:
            return
        self._of_plane[area.spec.plane].add(name)
        desk = self.desks.get(name)
        if desk is None or desk.uid != area.metadata.uid:
            self.desks[name] = Desk(area)
            self._unobstructed.discard(name)
            stored = area.status.assignment
            spec = area_spec(area, self.planes.get(area.spec.plane))
            self._index.record(name, stored.assignment(spec) if stored is not None else None)
        self._consider(area)

    def _saw_plane(self, name: str, body: Body | None) -> None:
        before = self.planes.get(name)
        if body is None:
            self.planes.remove(name)
        elif self.planes.apply_event(body) is None:
            return
        after = self.planes.get(name)
        if before is None or after is None or _what_counts(before) != _what_counts(after):
            self._consider_plane(name)

    def _consider_plane(self, plane: str) -> None:
        for name in sorted(self._of_plane[plane]):
            self.consider(name)

    def of_plane(self, plane: str) -> list[AreaObject]:
        """The areas of a plane, by name."""
        return [area for name in sorted(self._of_plane[plane]) if (area := self.areas.get(name)) is not None]

    def consider(self, name: str) -> None:
        """What is wanted of an area, now that it was written to from here."""
        area = self.areas.get(name)
        if area is not None:
            self._consider(area)

    def _consider(self, area: AreaObject) -> None:
        """What is wanted of it now."""
        name, plane = area.metadata.name, self.planes.get(area.spec.plane)
        beside = () if name in self._unobstructed else self.of_plane(area.spec.plane)
        wanted = wanted_of(area, plane, beside, backups=self._backups)
        recorded = self._index.recorded(name)
        if wanted.spec is not None and plane is not None:
            if not wanted.obstacle:
                self._unobstructed.add(name)
            if recorded is not None and not recorded.spec.simulator:  # it was read before its plane was
                self._index.record(name, msgspec.structs.replace(recorded, spec=wanted.spec))
            elif recorded is not None and recorded.spec != wanted.spec:
                other = f"plane {area.spec.plane} was made anew with other values: make it as it was"
                wanted = Wanted(recorded.spec, obstacle=other)
        self._index.want(name, wanted)

    # --- what processes say

    def client(self, name: str) -> AreaClient | None:
        """For orders to one process."""
        followed = self._observers.get(name)
        return followed[1].client if followed is not None else None

    def settled(self, now: float) -> bool:
        """Whether everybody was asked: before that, who seems to be a spare may only not have been heard."""
        return now - self._began > _SETTLE_SECONDS or all(o.status is not None for _, o in self._observers.values())

    async def close(self) -> None:
        """Follows nobody any more."""
        for name in list(self._observers):
            self._follow(name, None)
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _follow(self, name: str, process: Process | None) -> None:
        followed = self._observers.get(name)
        if followed is not None and (process is None or process.url != followed[0]):
            del self._observers[name]
            task = asyncio.create_task(followed[1].close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
            self._index.heard(name, None, time.monotonic())
        if process is not None and name not in self._observers:
            observer = Observer(name, process.url, process.kind, self._token, lambda: self._heard(name))
            self._observers[name] = process.url, observer
            self._index.heard(name, None, time.monotonic())

    def _heard(self, name: str) -> None:
        followed = self._observers.get(name)
        if followed is None:
            return
        now, status = time.monotonic(), followed[1].status
        if isinstance(status, ReplicaStatus) and status.role is Role.ACTIVE:
            self._rose(status, now)
        self._index.heard(name, status, now)


def _what_counts(plane: PlaneObject) -> object:
    return plane.metadata.uid, plane.spec, plane.metadata.paused
