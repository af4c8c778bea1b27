"""Issues the map of each plane to its areas: record first, then grants, repeated until every area knows it.

`plan.authority` decides what the map is. Here it is decided when a version is made: a change waits a moment for others,
and after a large map the next one waits longer (`pause_seconds`). A record that cannot be written ends the call before
anything is sent, and the next call writes it again first. While areas lag, the calls repeat by themselves, whatever
statuses come.

A plane without a record may be new, or its record may be lost. So its first version waits until every process that may
know a version has been heard.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from pairsim.model.authority import PlaneMap, WorldMap
from pairsim_controller.plan.authority import (
    COALESCE_SECONDS,
    Claim,
    PlannedMap,
    gap_message,
    grants,
    next_map,
    pause_seconds,
)
from pairsim_controller.plan.fleet_index import FleetIndex
from pairsim_controller.reconcile.ports import MapStore, ProcessGateway

REPEAT_SECONDS = 0.5
"""Seconds until a call is due again while an area does not know the newest map."""


class _Issued:
    """The newest map of one plane, and the times of its versions."""

    __slots__ = ("changed_at", "map", "next_at", "notes")

    def __init__(self) -> None:
        self.map: PlaneMap | None = None
        self.changed_at: float | None = None
        self.next_at = 0.0
        self.notes: tuple[str, ...] = ()


class MapIssuer:
    """The maps of all planes of a world. Calls for different planes may run at a time; calls for one plane must not."""

    def __init__(
        self,
        index: FleetIndex,
        *,
        store: MapStore,
        processes: ProcessGateway,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` returns seconds of a monotonic clock."""
        self._index, self._store, self._processes, self._clock = index, store, processes, clock
        self._planes: dict[str, _Issued] = {}

    async def issue(self, plane: str) -> float | None:
        """Makes the next version of a plane's map if one is due, and sends the newest one to areas that do not know it.

        Returns in how many seconds another call is due although nothing changes; None if all areas know the map.
        Raises the errors of the store; then no grant was sent.
        """
        record = self._store.recorded(plane)
        if record is None:
            self._planes.pop(plane, None)
            return None
        if record.version == 0 and not self._processes.all_heard():
            return REPEAT_SECONDS
        issued, now = self._planes.setdefault(plane, _Issued()), self._clock()
        claims = self._index.claims(plane)
        planned = next_map(plane, record, claims)
        if planned.record is not record:
            if issued.changed_at is None:
                issued.changed_at = now
            due_at = max(issued.changed_at + COALESCE_SECONDS, issued.next_at)
            if now < due_at:
                return due_at - now
            await self._store.write(planned.record, planned.map)
            issued.next_at = self._clock() + pause_seconds(planned)
        if issued.map is None or planned.map.version != issued.map.version:
            issued.map, issued.notes = planned.map, _notes(planned, claims)
        issued.changed_at = None
        lagging = list(grants(issued.map, claims))
        for request in lagging:
            self._processes.dispatch(request)
        return REPEAT_SECONDS if lagging else None

    def notes(self, plane: str) -> tuple[str, ...]:
        """Returns sentences for the user about the newest map of a plane: places and areas without a cell."""
        issued = self._planes.get(plane)
        return issued.notes if issued is not None else ()

    def world_map(self) -> WorldMap:
        """Returns the newest maps."""
        planes = sorted(self._planes.items())
        return WorldMap(tuple(issued.map for _name, issued in planes if issued.map is not None and issued.map.version))


def _notes(planned: PlannedMap, claims: Sequence[Claim]) -> tuple[str, ...]:
    made = planned.map
    boxes = tuple(cell.bounds for cell in made.cells)
    gaps = gap_message(made.plane, claims[0].world, boxes) if boxes else ""
    displaced = (f"plane {made.plane}: {area} has no cell, since {by} has its place" for area, by in planned.displaced)
    return (*filter(None, (gaps,)), *displaced)
