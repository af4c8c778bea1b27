"""The world as `pairsim status --json` shows it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from pairsim.model.area import AreaSpec
from pairsim.model.assignment import Assignment
from pairsim.model.status import ReplicaStatus, Role, WitnessStatus
from pairsim.model.world_status import AreaStatusView, ProcessRow, ReplicaRow, WorldStatus
from pairsim_controller.plan.redundancy import active_of, lack
from pairsim_controller.plan.slow_time import too_slow
from pairsim_controller.plan.view import View


def cluster_picture(views: Iterable[View], now: float) -> WorldStatus:
    """Of looks at all areas; pods have no process ids that would mean anything to others."""
    areas, spares = [], {}
    for view in views:
        spares.update({process.name: ProcessRow(process.url, None, process.name) for process in view.spares})
        if view.spec is not None:
            said = {name: Said(process.status, now - process.silent) for name, process in view.processes.items()}
            found = {name: Whereabouts(process.url, None) for name, process in view.processes.items()}
            areas.append(area_picture(view.spec, view.recorded, said, found))
    return WorldStatus(areas, [spares[name] for name in sorted(spares)])


class Said(NamedTuple):
    """A process's status, and when it came, in seconds of a monotonic clock."""

    status: ReplicaStatus | WitnessStatus | None
    at: float


class Whereabouts(NamedTuple):
    """Of a process; see `ProcessPicture`."""

    url: str
    pid: int | None


def area_picture(
    spec: AreaSpec, recorded: Assignment | None, said: Mapping[str, Said], found: Mapping[str, Whereabouts]
) -> AreaStatusView:
    """One area, of what processes say, its members and others, and of where they are, by name."""
    nowhere = Whereabouts("", None)
    heard = {
        member.replica: Heard(one.status, one.at)
        for member in (recorded.replicas if recorded else ())
        if (one := said.get(member.replica)) is not None
        and isinstance(one.status, ReplicaStatus)
        and one.status.area == spec.area
    }
    replicas = [
        ReplicaRow(
            replica=name,
            role=one.status.role.value,
            term=one.status.term,
            tick=one.status.tick,
            lag_ticks=lag_ticks(one, heard.values(), spec.tick_rate),
            entities=one.status.entities,
            url=found.get(name, nowhere).url,
            pid=found.get(name, nowhere).pid,
            divergences=one.status.divergences,
        )
        for name, one in heard.items()
    ]
    witness = recorded.witness.replica if recorded else ""
    statuses = {name: one.status for name, one in said.items() if one.status is not None}
    active, missing = active_of(spec.area, statuses.values()), lack(spec.area, statuses)
    members = recorded.replicas if recorded else ()
    unseen = next((story for m in members if (story := _unseen(m.replica, heard.get(m.replica), active))), "")
    sentence = missing.sentence if missing is not None else unseen
    return AreaStatusView(
        area=spec.area,
        plane=spec.plane,
        bounds=spec.bounds,
        redundant=not sentence,
        generation=recorded.generation if recorded else 0,
        replicas=sorted(replicas, key=lambda r: (r.role != "active", r.replica)),
        witness=ProcessRow(*found.get(witness, nowhere), witness),
        missing=sentence,
        pace=active.pace if active is not None else 1.0,
        slow=too_slow(spec, active) if active is not None else "",
    )


class Heard(msgspec.Struct, frozen=True):
    """A status, and when it came, in seconds of a monotonic clock."""

    status: ReplicaStatus
    at: float


def _unseen(name: str, one: Heard | None, active: ReplicaStatus | None) -> str:
    """What a member has not said yet of that which its active knows already; empty if it shows as active or passive."""
    if one is None:
        return f"{name} cannot be reached"
    return "" if one.status is active or one.status.role is Role.PASSIVE else f"{name} is {one.status.role}"


def lag_ticks(one: Heard, pair: Iterable[Heard], tick_rate: float) -> int:
    """How far a replica's state was behind the newest committed tick of its area when it said where it is.

    Statuses come every second, and not at the same time: what the other one said later is taken back by as many ticks
    as may have passed meanwhile.
    """
    newest = max(other.status.tick - math.ceil(max(0.0, other.at - one.at) * tick_rate) for other in (one, *pair))
    return max(0, newest - one.status.synced_tick)
