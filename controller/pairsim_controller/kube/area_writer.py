"""Writes an `Area`, and the objects that it owns: the recorded assignment at once, everything else when there is time.

The record is the controller's only memory, so it is written before any request is sent. A status is written only on
the version of the object that was read, so that the change of another writer is not undone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

import msgspec

from pairsim.model.assignment import Assignment
from pairsim.model.labels import AREA_LABEL, RELEASE_FINALIZER
from pairsim_controller.kube.api.object_store import ObjectStore
from pairsim_controller.kube.api.objects import AreaObject, AreaStatus, Object, StoredAssignment, body_of
from pairsim_controller.kube.api.port import AREAS, BUDGETS, SERVICES, Api, Body, Resource
from pairsim_controller.kube.owned_objects import compared_part, is_subset, owned_objects
from pairsim_controller.kube.status.conditions import area_status, significant_status
from pairsim_controller.kube.status.status_events import AreaEvent, event_of, events_between
from pairsim_controller.plan.view import View
from pairsim_controller.reconcile.warning_debouncer import WarningDebouncer
from pairsim_controller.story.active_tracker import ActiveTracker
from pairsim_controller.story.area_story import AreaStory
from pairsim_controller.story.entry import HistoryEntry
from pairsim_controller.story.history import History
from pairsim_controller.story.membership import membership_entry
from pairsim_controller.story.redundancy_tracker import RedundancyTracker

_STARTUP_SECONDS = 1.0
"""Seconds in which a controller that has just started may not have heard all processes."""

_MAX_UNSENT_ENTRIES = 100
"""Entries of one area that may wait to become events; the oldest are left out."""

_RESOURCES = {"Service": SERVICES, "PodDisruptionBudget": BUDGETS}


class AreaContext:
    """The state that the controller keeps for one `Area` object.

    Attributes:
        uid: The uid of the object.
        story: Its history.
        last_takeover: The last change of its active.
        unsent: The entries of its history that have not become events yet.
        warnings: Its problems, and how long they have lasted.
        written: The status that the API server has.
        announced: The status up to which all changes were emitted as events.
        written_at: The monotonic time of the last status write, in seconds.
        backup: The file with its last state; empty without a backup.
        number, cell: Its number and its cell in the newest map of its plane; 0 and None while it has no cell.
        refresh_due: Whether the status has to be written although only its numbers changed.
        lock: Held by the one writer of the status.
    """

    def __init__(self, area: AreaObject) -> None:
        """Continues from the status of the object."""
        status = area.status
        self.uid = area.metadata.uid
        roles = {status.active: "active", status.passive: "passive"} if status.active and status.passive else {}
        self.story = AreaStory(
            area.metadata.name,
            actives=ActiveTracker(status.active, status.term, status.tick),
            redundancy=RedundancyTracker(roles),
        )
        self.last_takeover = status.last_takeover
        self.unsent: deque[HistoryEntry] = deque(maxlen=_MAX_UNSENT_ENTRIES)
        self.warnings = WarningDebouncer(_STARTUP_SECONDS)
        self.written = self.announced = area.status
        self.written_at = 0.0
        self.backup = area.status.backup
        self.number, self.cell = area.status.number, area.status.cell
        self.refresh_due = False
        self.lock = asyncio.Lock()


class AreaWriter:
    """The one writer of `Area` objects and of the objects that they own."""

    def __init__(self, api: Api, areas: ObjectStore[AreaObject], history: History) -> None:
        self._api, self._areas, self._history = api, areas, history
        self._owned: dict[Resource, dict[str, Body]] = {SERVICES: {}, BUDGETS: {}}

    # --- the status

    @staticmethod
    def is_written(context: AreaContext, assignment: Assignment | None) -> bool:
        """Returns whether the API server has this assignment (None: no assignment at all)."""
        stored = StoredAssignment.of(assignment) if assignment is not None else None
        return context.written.assignment == stored

    async def write_assignment(self, context: AreaContext, view: View, now: float, wall: float) -> None:
        """Writes the assignment of a view as a part of the status, unless it is written. Raises ApiError."""
        if not self.is_written(context, view.recorded):
            await self._write(context, view, now, wall)

    async def write_place(self, context: AreaContext, view: View, now: float, wall: float) -> None:
        """Writes number and cell of an area as a part of the status, unless they are written. Raises ApiError."""
        if (context.written.number, context.written.cell) != (context.number, context.cell):
            await self._write(context, view, now, wall)

    async def write_status(self, context: AreaContext, view: View, now: float, wall: float) -> None:
        """Emits what happened as events, and writes the status if it changed significantly. Raises ApiError."""
        area = self._areas.get(view.area)
        if area is None:
            return
        status = self._status(context, view, area, wall)
        while context.unsent:
            entry = context.unsent.popleft()
            self._emit(area, event_of(entry), entry.at)
        for event in events_between(context.announced, status):
            self._emit(area, event, wall)
        context.announced = status
        if context.refresh_due or significant_status(status) != significant_status(context.written):
            context.refresh_due = False
            await self._write(context, view, now, wall)

    async def _write(self, context: AreaContext, view: View, now: float, wall: float) -> None:
        async with context.lock:
            area = self._areas.get(view.area)
            if area is None or area.metadata.uid != context.uid:
                return
            status = self._status(context, view, area, wall)
            head: Body = {"name": area.metadata.name, "resourceVersion": area.metadata.resource_version}
            body: Body = {"apiVersion": AREAS.api_version, "kind": AREAS.kind, "metadata": head}
            self._areas.apply_response(
                await self._api.apply(AREAS, body | {"status": body_of(status)}, subresource="status")
            )
            before, because = context.written.assignment, view.replaced_because
            entry = membership_entry(view.area, before, status.assignment, wall, because)
            context.written, context.written_at = status, now
            if entry is not None:
                self.tell(context, [entry])

    def tell(self, context: AreaContext, entries: Iterable[HistoryEntry]) -> None:
        """Adds entries to the history of the world; `write_status` makes events of them."""
        found = list(entries)
        self._history.extend(found)
        context.unsent.extend(found)

    def _emit(self, area: AreaObject, event: AreaEvent | None, at: float) -> None:
        if event is not None:
            self._api.emit(reference(area), event.reason, event.note, warning=event.warning, at=at)

    @staticmethod
    def _status(context: AreaContext, view: View, area: AreaObject, wall: float) -> AreaStatus:
        return area_status(
            view,
            context.written,
            warnings=context.warnings.active,
            last=context.last_takeover,
            generation=area.metadata.generation,
            wall=wall,
            backup=context.backup,
            number=context.number,
            cell=context.cell,
        )

    # --- the finalizer

    async def add_finalizer(self, area: AreaObject) -> None:
        """Makes a deletion wait until all members are released. Raises ApiError."""
        if RELEASE_FINALIZER not in area.metadata.finalizers:
            await self._set_finalizers(area, [RELEASE_FINALIZER])

    async def remove_finalizer(self, area: AreaObject) -> None:
        """Lets a deletion proceed when no process holds the area any more. Raises ApiError."""
        if RELEASE_FINALIZER in area.metadata.finalizers:
            await self._set_finalizers(area, [])

    async def _set_finalizers(self, area: AreaObject, names: list[str]) -> None:
        head = {"name": area.metadata.name, "uid": area.metadata.uid, "finalizers": names}
        body: Body = {"apiVersion": AREAS.api_version, "kind": AREAS.kind, "metadata": head}
        self._areas.apply_response(await self._api.apply(AREAS, body))

    # --- owned objects

    def on_owned_object(self, resource: Resource, name: str, body: Body | None) -> str | None:
        """Takes in a Service or a budget (None if it was deleted); returns the area that it is labelled with."""
        objects = self._owned[resource]
        before = objects.pop(name, None)
        if body is not None:
            objects[name] = compared_part(body)
        labelled = msgspec.convert(body or before or {"metadata": {"name": name}}, Object)
        return labelled.metadata.labels.get(AREA_LABEL)

    async def apply_owned(self, area: AreaObject) -> None:
        """Creates or corrects the objects that an area owns. Raises ApiError."""
        for wanted in owned_objects(area):
            resource = _RESOURCES[str(wanted["kind"])]
            name = msgspec.convert(wanted, Object).metadata.name
            if not is_subset(wanted, self._owned[resource].get(name)):
                # Without force: an object of this name that another client owns stays as it is.
                answer = await self._api.apply(resource, wanted, force=False)
                self._owned[resource][name] = compared_part(answer)


def reference(area: AreaObject) -> Body:
    """Returns the reference to an area that its events contain."""
    return {
        "apiVersion": AREAS.api_version,
        "kind": AREAS.kind,
        "name": area.metadata.name,
        "namespace": area.metadata.namespace,
        "uid": area.metadata.uid,
    }
