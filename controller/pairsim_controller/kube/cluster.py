"""The cluster backend: pods in place of local processes, an API server in place of a data folder.

It lives as long as this controller holds the lease; the next holder begins with what is written down and with what the
pods say. Two kinds of work are queued by area: *looks* (labels, decisions, orders), which must not wait, and *papers*
(status, events, Services), which may.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

import structlog

from pairsim.client.client import AreaClient
from pairsim.model.status import ReplicaStatus, Role
from pairsim.model.world_status import WorldPicture
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
from pairsim_controller.kube.area_writer import Clerk, Desk
from pairsim_controller.kube.cluster_cache import Sight
from pairsim_controller.kube.metrics import ControllerMetrics
from pairsim_controller.kube.plane_reconciler import Surveyor
from pairsim_controller.kube.pods import label_patch
from pairsim_controller.plan.area import decide
from pairsim_controller.plan.fleet_index import POOL, Index
from pairsim_controller.plan.labels import label_actions
from pairsim_controller.plan.view import (
    Action,
    Adopt,
    Assign,
    BackUp,
    Forget,
    Release,
    Remind,
    Say,
    SetLabel,
    Switchover,
    View,
)
from pairsim_controller.reconcile.area_counts import Census, census
from pairsim_controller.reconcile.backup_folder import BackupFolder
from pairsim_controller.reconcile.dispatcher import Orders
from pairsim_controller.reconcile.world_status import cluster_picture

log = structlog.get_logger()

AGAIN = 0.5
"""Seconds until an area that is not as it should be is looked at again, if nothing is heard of it meanwhile."""

PAPER_SECONDS = 0.3
"""Seconds that papers wait, so that a takeover is written once."""

_PLANE = "plane/"
"""Before a plane's name among the papers."""

_SOON = 0.02
_ROUNDS = 4
_REFRESH_SECONDS = 8.0
_FRESH_SECONDS = 15.0


class LeaseLostError(Exception):
    """Another controller may be at work: nothing is written or ordered any more."""


class Cluster:
    """See the module."""

    def __init__(
        self,
        api: Api,
        looks: KeyQueue,
        papers: KeyQueue,
        token: str,
        *,
        metrics: ControllerMetrics,
        holds: Callable[[], bool],
        backups: BackupFolder | None = None,
    ) -> None:
        """Knows nothing yet: everything that a watch lists is told with `saw` before the queues are worked on.

        Args:
            api: Writes.
            looks: The queue that calls `look`.
            papers: The queue that calls `paper`.
            token: Of the simulators' control paths.
            metrics: Counted on.
            holds: Whether the lease is still held; asked before anything is written or ordered.
            backups: Where the states of deleted areas are kept; None if they are not.
        """
        self._api, self._looks, self._papers = api, looks, papers
        self._metrics, self._holds = metrics, holds
        self._index = Index(looks.add)
        self._backups = backups
        self._sight = Sight(self._index, token, rose=self._rose, backups=backups is not None)
        self._clerk = Clerk(api, self._sight.areas)
        self._surveyor = Surveyor(api, self._sight.planes, self._sight.of_plane)
        self._orders = Orders(self._sight.client, self._keep)
        self._risen: dict[str, tuple[int, float]] = {}

    def saw(self, resource: Resource, name: str, body: Body | None) -> None:
        """An object as it is now; None if it is gone."""
        before = self._sight.areas.get(name) if resource == AREAS else None
        self._sight.saw(resource, name, body)
        if resource == PODS and body is None:
            self._risen.pop(name, None)
        if resource == PLANES:
            self._papers.add_after(_PLANE + name, PAPER_SECONDS)
        elif resource == AREAS and (of := self._sight.areas.get(name) or before) is not None:
            self._papers.add_after(_PLANE + of.spec.plane, PAPER_SECONDS)
        area: str | None = name if resource == AREAS else None
        if resource in {SERVICES, BUDGETS}:
            area = self._clerk.saw(resource, name, body)
        if area is not None and self._sight.areas.get(area) is not None:
            self._papers.add_after(area, PAPER_SECONDS)

    async def run(self) -> None:
        """Keeps the numbers in the statuses from growing old; ends by cancellation.

        One status every few seconds, whatever the number of areas: an idle world costs next to nothing.
        """
        try:
            while True:
                await asyncio.sleep(_REFRESH_SECONDS)
                now = time.monotonic()
                oldest = min(self._sight.desks.items(), key=lambda item: item[1].at, default=None)
                if oldest is not None and now - oldest[1].at > _FRESH_SECONDS:
                    oldest[1].stale = True
                    self._papers.add(oldest[0])
        finally:
            await self._orders.close()
            await self._sight.close()

    def census(self) -> Census:
        """Areas by state, as they were told last, and the spares at hand."""
        told = [desk.told for desk in self._sight.desks.values()]
        return census([(s.holds("Ready"), s.holds("Redundant")) for s in told], self._index.spares())

    def picture(self) -> WorldPicture:
        """The world as it is now, for whoever looks at it."""
        now = time.monotonic()
        views = [self._index.view(name, now) for name in sorted(self._sight.desks)]
        return cluster_picture(views, now)

    def active(self, area: str) -> AreaClient | None:
        """For an order to the active of an area; None while there is none."""
        for name, process in self._index.view(area, time.monotonic()).processes.items():
            status = process.replica
            if status is not None and status.area == area and status.role is Role.ACTIVE:
                return self._sight.client(name)
        return None

    # --- looks

    async def look(self, area: str) -> None:
        """Makes one area so. Raises ApiError, and LeaseLostError."""
        try:
            await self._look(area)
        except ChangedError as error:
            # What it is now is on its way here: a watch tells it within milliseconds.
            log.info("somebody else wrote in between", area=area, reason=str(error))
            self._looks.add_after(area, _SOON)

    async def _look(self, area: str) -> None:
        if area == POOL:
            await self._label(self._index.pool_labels())
            return
        view = await self._labelled(area)
        desk, found = self._sight.desks.get(area), self._sight.areas.get(area)
        if desk is None or found is None:
            return  # not ours to decide: a deleted area was released before it went
        said: list[Say] = []
        settled = False
        try:
            if view.spec is not None and not view.paused and not view.obstacle:
                self._still_holds()
                await self._clerk.keep(found)
            work = self._decided(area)
            said += [action for action in work if isinstance(action, Say)]
            if work:
                await self._record(desk, area)
            for action in work:
                self._act(desk, action)
            settled = not work and all(p.alive and p.status is not None for p in view.processes.values())
            if not work and view.spec is None and view.recorded is None and not view.processes:
                await self._clerk.let_go(found)
        finally:
            now = time.monotonic()
            said += [say for say in self._orders.in_vain(now) if say.area == area]
            desk.complaints.fresh(said, now)
            self._index.waits(area, [say.wants for say in said if say.wants is not None])
            if not settled:
                self._looks.add_after(area, AGAIN)
            self._papers.add_after(area, PAPER_SECONDS)

    async def _labelled(self, area: str) -> View:
        """Changes labels until there is nothing to change; what was acknowledged is the ground for what follows."""
        for _ in range(_ROUNDS):
            now = time.monotonic()
            view = self._index.view(area, now)
            desk = self._sight.desks.get(area)
            if desk is not None:
                change = desk.takeovers.observe(view, now, time.time())
                if change is not None:
                    self._metrics.count_change(change)
            changes = tuple(label_actions(view))
            if not changes:
                break
            await self._label(changes)
        return self._index.view(area, time.monotonic())

    async def _label(self, changes: Iterable[SetLabel]) -> None:
        """Any order of these is safe: see `labels`."""
        results = await asyncio.gather(*(self._set(change) for change in changes), return_exceptions=True)
        failures = [result for result in results if isinstance(result, BaseException)]
        if failures:
            raise failures[0]

    async def _set(self, change: SetLabel) -> None:
        pod, label = self._sight.pods.get(change.replica), change.label
        if pod is None:
            return
        area = self._sight.areas.get(label.area)
        plane = area.spec.plane if area is not None else pod.metadata.labels.get("pairsim.io/plane", "")
        self._still_holds()
        body = await self._api.apply(PODS, label_patch(pod, label, plane))
        self._sight.labelled(change.replica, body)
        self._metrics.labels.labels(role=label.role.value).inc()
        term, since = self._risen.get(change.replica, (0, 0.0))
        if label.role is Role.ACTIVE and term == label.term:
            self._metrics.label_seconds.observe(time.monotonic() - since)

    def _rose(self, status: ReplicaStatus, now: float) -> None:
        if self._risen.get(status.replica, (0, 0.0))[0] != status.term:
            self._risen[status.replica] = status.term, now

    def _decided(self, area: str) -> list[Action]:
        """What to do beside labels; what is to be recorded is known to the index when this returns.

        Nothing is waited for in between: a spare that is promised here is offered to no other area.
        """
        now = time.monotonic()
        work: list[Action] = [a for a in decide(self._index.view(area, now)) if not isinstance(a, SetLabel)]
        if not self._sight.settled(now):
            work = [a for a in work if not isinstance(a, Assign) or a.assignment.generation > 1]
        for action in work:
            if isinstance(action, Assign | Adopt):
                self._index.record(area, action.assignment)
            elif isinstance(action, Forget):
                self._index.record(area, None)
        return work

    def _act(self, desk: Desk, action: Action) -> None:
        if isinstance(action, Switchover):
            desk.takeovers.ordered(time.monotonic())
        if isinstance(action, Assign | Remind | Release | BackUp | Switchover):
            self._still_holds()
            self._metrics.orders.labels(order=type(action).__name__.lower()).inc()
            self._orders.give(action)

    async def _keep(self, client: AreaClient, area: str) -> None:
        """The file is written down, and when that is seen the members may go."""
        desk = self._sight.desks.get(area)
        if desk is None or desk.backup or self._backups is None:
            return
        desk.backup = await self._backups.take(client, area)
        self._papers.add(area)

    async def _record(self, desk: Desk, area: str) -> None:
        """Before anything is sent; the last time it may have failed."""
        self._still_holds()
        now = time.monotonic()
        await self._clerk.record(desk, self._index.view(area, now), self._index.recorded(area), now, time.time())

    def _still_holds(self) -> None:
        if not self._holds():
            raise LeaseLostError

    # --- papers

    async def paper(self, area: str) -> None:
        """Writes what may wait of an area, or of a plane. Raises ApiError, and LeaseLostError."""
        if area.startswith(_PLANE):
            self._still_holds()
            await self._surveyor.survey(area.removeprefix(_PLANE), time.time())
            return
        desk, found = self._sight.desks.get(area), self._sight.areas.get(area)
        if desk is None or found is None:
            return
        self._still_holds()
        now = time.monotonic()
        await self._clerk.status(desk, self._index.view(area, now), now, time.time())
        if found.metadata.deletion_timestamp is None:
            await self._clerk.belongings(found)
        else:
            self._sight.consider(area)  # its backup may have been written down just now
