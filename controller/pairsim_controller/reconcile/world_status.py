"""The status of a world, as `pairsim status --json` and the console show it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from pairsim.model.area import AreaSpec
from pairsim.model.assignment import Assignment
from pairsim.model.crossings.border_status import BorderStatus
from pairsim.model.crossings.conservation import balance
from pairsim.model.status import ReplicaStatus, WitnessStatus
from pairsim.model.world_status import AreaStatusView, ProcessRow, ReplicaRow, WorldStatus
from pairsim_controller.plan.redundancy import active_of, redundancy_gap, replica_message
from pairsim_controller.plan.slow_time import slow_message
from pairsim_controller.plan.view import View


def cluster_status(views: Iterable[View], now: float) -> WorldStatus:
    """Returns the status of a cluster from the views of all its areas.

    Process ids are left out: those of pods mean nothing outside of them.
    """
    areas, spares = [], {}
    for view in views:
        spares.update({process.name: ProcessRow(process.url, None, process.name) for process in view.spares})
        area = status_of_view(view, now)
        if area is not None:
            areas.append(area)
    return world_status_of(areas, [spares[name] for name in sorted(spares)])


def world_status_of(areas: list[AreaStatusView], spares: list[ProcessRow]) -> WorldStatus:
    """Returns the status of a world, with the balance of each plane in place of the marks of its areas."""
    planes: dict[str, list[BorderStatus | None]] = {}
    for area in areas:
        planes.setdefault(area.plane, []).append(area.borders)
    found = (balance(plane, borders) for plane, borders in planes.items())
    return WorldStatus([_without_marks(area) for area in areas], spares, [each for each in found if each is not None])


def _without_marks(area: AreaStatusView) -> AreaStatusView:
    if area.borders is None:
        return area
    return msgspec.structs.replace(area, borders=msgspec.structs.replace(area.borders, marks=()))


def status_of_view(view: View, now: float) -> AreaStatusView | None:
    """Returns the status of one area from a view of it, without process ids; None for an area that is not wanted."""
    if view.spec is None:
        return None
    observed = {name: ObservedStatus(p.status, now - p.silent_seconds) for name, p in view.processes.items() if p.alive}
    endpoints = {name: Endpoint(process.url, None) for name, process in view.processes.items()}
    return area_status_view(view.spec, view.recorded, observed, endpoints, view.notes, view.command_options)


class ObservedStatus(NamedTuple):
    """The status of a process (None if it cannot be reached), and when it came in seconds of a monotonic clock."""

    status: ReplicaStatus | WitnessStatus | None
    at: float


class Endpoint(NamedTuple):
    """The URL of a process, and its process id if that means anything to the reader."""

    url: str
    pid: int | None


class MemberStatus(msgspec.Struct, frozen=True):
    """The status of a replica that is a member, and when it came in seconds of a monotonic clock."""

    status: ReplicaStatus
    at: float


def area_status_view(
    spec: AreaSpec,
    recorded: Assignment | None,
    observed: Mapping[str, ObservedStatus],
    endpoints: Mapping[str, Endpoint],
    notes: Mapping[str, str] = MappingProxyType({}),
    command_options: str = "",
) -> AreaStatusView:
    """Returns the status of one area, from the statuses and endpoints of its members and other processes, by name.

    `notes` are what the backend knows about members that start or have ended lately;
    `View` explains `command_options`.
    """
    unknown = Endpoint("", None)
    members = recorded.replicas if recorded else ()
    statuses = {
        member.replica: MemberStatus(one.status, one.at)
        for member in members
        if (one := observed.get(member.replica)) is not None
        and isinstance(one.status, ReplicaStatus)
        and one.status.area == spec.area
    }
    replicas = [
        ReplicaRow(
            replica=name,
            role=one.status.role.value,
            term=one.status.term,
            tick=one.status.tick,
            lag_ticks=lag_ticks(one, statuses.values(), spec.tick_rate),
            entities=one.status.entities,
            url=endpoints.get(name, unknown).url,
            pid=endpoints.get(name, unknown).pid,
            divergences=one.status.divergences,
            outside=one.status.outside,
        )
        for name, one in statuses.items()
    ]
    witness = recorded.witness.replica if recorded else ""
    reached = {name: one.status for name, one in observed.items() if one.status is not None}
    active = active_of(spec.area, reached.values())
    gap = redundancy_gap(spec.area, reached, recorded, notes, command_options)
    missing = gap.message if gap is not None else ""
    if active is not None and gap is None:
        # The active may know more about its passive than the passive has reported.
        names = [member.replica for member in members]
        unseen = (replica_message(n, reached.get(n), active, notes.get(n, ""), command_options) for n in names)
        missing = next(filter(None, unseen), "")
    return AreaStatusView(
        area=spec.area,
        plane=spec.plane,
        bounds=spec.bounds,
        redundant=not missing,
        generation=recorded.generation if recorded else 0,
        replicas=sorted(replicas, key=lambda r: (r.role != "active", r.replica)),
        witness=ProcessRow(*endpoints.get(witness, unknown), witness),
        missing=missing,
        pace=active.pace if active is not None else 1.0,
        slow=slow_message(spec, active, command_options) if active is not None else "",
        tick_ms=active.tick_ms if active is not None else 0.0,
        number=active.number if active is not None else 0,
        version=active.version if active is not None else 0,
        borders=active.borders if active is not None else None,
    )


def lag_ticks(one: MemberStatus, pair: Iterable[MemberStatus], tick_rate: float) -> int:
    """Returns how many ticks a replica was behind the newest committed tick of its area when it sent its status.

    Statuses come every second, and those of a pair come at different times. So the tick of a status that came later is
    taken back by as many ticks as may have passed in between.
    """
    newest = max(other.status.tick - math.ceil(max(0.0, other.at - one.at) * tick_rate) for other in (one, *pair))
    return max(0, newest - one.status.synced_tick)
