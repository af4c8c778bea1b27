"""What is written on an `Area`: the recorded assignment at once, everything else when there is time.

The record is the controller's only memory, so it is written before anything is sent, and a status is written only on
the version that was read: whoever wrote in between is not undone.
"""

from __future__ import annotations

import asyncio

import msgspec

from pairsim.model.assignment import Assignment
from pairsim_controller.kube.api.object_store import ObjectStore
from pairsim_controller.kube.api.objects import FINALIZER, AreaObject, AreaStatus, Object, StoredAssignment, body_of
from pairsim_controller.kube.api.port import AREAS, BUDGETS, SERVICES, Api, Body, Resource
from pairsim_controller.kube.conditions import area_status, notable
from pairsim_controller.kube.owned_objects import belongings, stands
from pairsim_controller.kube.status_events import stories
from pairsim_controller.kube.takeovers import Takeovers
from pairsim_controller.plan.view import View
from pairsim_controller.reconcile.warning_debouncer import Complaints

_STARTING = 1.0
"""Seconds in which a controller that has just begun may not have heard of everybody."""

_PLACES = {"Service": SERVICES, "PodDisruptionBudget": BUDGETS}


class Desk:
    """What the controller keeps of one `Area`.

    Attributes:
        uid: Of the object that this is about.
        takeovers: Watches its actives.
        complaints: What is wrong, and for how long.
        written: The status that the API server has.
        told: The status up to which everything was told as events.
        at: When a status was written last, on the monotonic clock.
        backup: The file that its last state is kept in; empty before that.
        stale: Whether the numbers in it are to be written anew although nothing else changed.
        lock: One writer at a time.
    """

    def __init__(self, area: AreaObject) -> None:
        """Goes on from what is written down."""
        self.uid = area.metadata.uid
        self.takeovers = Takeovers(area.status)
        self.complaints = Complaints(_STARTING)
        self.written = self.told = area.status
        self.at = 0.0
        self.backup = area.status.backup
        self.stale = False
        self.lock = asyncio.Lock()


class Clerk:
    """Writes areas and what belongs to them."""

    def __init__(self, api: Api, areas: ObjectStore[AreaObject]) -> None:
        self._api, self._areas = api, areas
        self._belongings: dict[Resource, dict[str, Body]] = {SERVICES: {}, BUDGETS: {}}

    # --- the record

    async def record(self, desk: Desk, view: View, assignment: Assignment | None, now: float, wall: float) -> None:
        """Writes an assignment down, unless it is. Raises ApiError."""
        stored = StoredAssignment.of(assignment) if assignment is not None else None
        if desk.written.assignment != stored:
            await self._write(desk, msgspec.structs.replace(view, recorded=assignment), now, wall)

    async def status(self, desk: Desk, view: View, now: float, wall: float) -> None:
        """Tells what happened, and writes the status if there is something new in it. Raises ApiError."""
        area = self._areas.get(view.area)
        if area is None:
            return
        found = self._status(desk, view, area, wall)
        for story in stories(desk.told, found):
            self._api.emit(reference(area), story.reason, story.note, warning=story.warning)
        desk.told = found
        if desk.stale or notable(found) != notable(desk.written):
            desk.stale = False
            await self._write(desk, view, now, wall)

    async def _write(self, desk: Desk, view: View, now: float, wall: float) -> None:
        async with desk.lock:
            area = self._areas.get(view.area)
            if area is None or area.metadata.uid != desk.uid:
                return
            found = self._status(desk, view, area, wall)
            head: Body = {"name": area.metadata.name, "resourceVersion": area.metadata.resource_version}
            body: Body = {"apiVersion": AREAS.api_version, "kind": AREAS.kind, "metadata": head}
            self._areas.apply_response(
                await self._api.apply(AREAS, body | {"status": body_of(found)}, subresource="status")
            )
            desk.written, desk.at = found, now

    @staticmethod
    def _status(desk: Desk, view: View, area: AreaObject, wall: float) -> AreaStatus:
        return area_status(
            view,
            desk.written,
            said=desk.complaints.lasting,
            last=desk.takeovers.last,
            generation=area.metadata.generation,
            wall=wall,
            backup=desk.backup,
        )

    # --- the finalizer

    async def keep(self, area: AreaObject) -> None:
        """Makes a deletion wait until its members are released. Raises ApiError."""
        if FINALIZER not in area.metadata.finalizers:
            await self._finalizers(area, [FINALIZER])

    async def let_go(self, area: AreaObject) -> None:
        """Nobody has it any more: the deletion may go on. Raises ApiError."""
        if FINALIZER in area.metadata.finalizers:
            await self._finalizers(area, [])

    async def _finalizers(self, area: AreaObject, names: list[str]) -> None:
        head = {"name": area.metadata.name, "uid": area.metadata.uid, "finalizers": names}
        body: Body = {"apiVersion": AREAS.api_version, "kind": AREAS.kind, "metadata": head}
        self._areas.apply_response(await self._api.apply(AREAS, body))

    # --- Services and budget

    def saw(self, resource: Resource, name: str, body: Body | None) -> str | None:
        """What stands there; the area that has to look after it again."""
        kept = self._belongings[resource]
        before = kept.pop(name, None)
        if body is not None:
            kept[name] = body
        labelled = msgspec.convert(body or before or {"metadata": {"name": name}}, Object)
        return labelled.metadata.labels.get("pairsim.io/area")

    async def belongings(self, area: AreaObject) -> None:
        """Makes what belongs to an area, or makes it right again. Raises ApiError."""
        for wanted in belongings(area):
            resource = _PLACES[str(wanted["kind"])]
            name = msgspec.convert(wanted, Object).metadata.name
            if not stands(wanted, self._belongings[resource].get(name)):
                # Without force: what bears the name and is somebody else's stays as it is.
                self._belongings[resource][name] = await self._api.apply(resource, wanted, force=False)


def reference(area: AreaObject) -> Body:
    """The object that an event is about."""
    return {
        "apiVersion": AREAS.api_version,
        "kind": AREAS.kind,
        "name": area.metadata.name,
        "namespace": area.metadata.namespace,
        "uid": area.metadata.uid,
    }
