"""The world as `pairsim status --json` shows it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from controller.local import LocalWorld
from controller.pace import too_slow
from controller.view import View
from controller.wholeness import active_of, lack
from pairsim.model.assignment import AreaSpec, Assignment, ReplicaStatus, Role, WitnessStatus
from pairsim.model.geometry import Box


class ReplicaPicture(msgspec.Struct, frozen=True):
    """One replica.

    Attributes:
        tick: The newest committed tick that it knows, as it said within the last second or so.
        lag_ticks: How far its state is behind the newest committed tick of the area.
        divergences: How often it came to another state than the active since its start: its simulator's step is not
            deterministic, or its machine is at fault.
    """

    replica: str
    role: str
    term: int
    tick: int
    lag_ticks: int
    entities: int
    url: str
    pid: int | None
    divergences: int = 0


class ProcessPicture(msgspec.Struct, frozen=True):
    """A witness or a spare.

    Attributes:
        pid: None while it does not run, and of a pod.
        name: Empty for the witness of an area that has none yet.
    """

    url: str
    pid: int | None
    name: str = ""


class ProcessSeen(msgspec.Struct, frozen=True):
    """One process.

    Attributes:
        process: Its name.
        kind: `simulator` or `witness`.
        plane, area, role: What it is labelled as; empty for a witness.
        pid: None while it does not run.
        network: The network namespace of its own; empty if it has none.
        folder: What it has on disk.
    """

    process: str
    kind: str
    plane: str
    area: str
    role: str
    url: str
    peer: str
    pid: int | None
    network: str
    folder: str


class AreaPicture(msgspec.Struct, frozen=True):
    """One area.

    Attributes:
        redundant: It goes on after the loss of any one of its members.
        missing: Why it is not redundant; empty if it is.
        pace: The share of its tick rate that it kept over the last seconds, as its active says; 1.0 if it keeps up.
        slow: What to say of that, and why it is so; empty if it keeps up.
    """

    area: str
    plane: str
    bounds: Box
    redundant: bool
    generation: int
    replicas: list[ReplicaPicture]
    witness: ProcessPicture
    missing: str = ""
    pace: float = 1.0
    slow: str = ""


class WorldPicture(msgspec.Struct, frozen=True):
    """All of it."""

    areas: list[AreaPicture]
    spares: list[ProcessPicture]


def picture(world: LocalWorld) -> WorldPicture:
    """As it is now."""
    spares = [
        ProcessPicture(process.url, process.pid, name)
        for name, process in world.pool.processes.items()
        if (status := _status(world, name)) is not None and status.role is Role.SPARE
    ]
    now = time.monotonic()
    said = {name: Said(observer.status, now - observer.silent) for name, observer in world.observers.items()}
    return WorldPicture([_area(world, spec, said) for spec in world.areas], spares)


def cluster_picture(views: Iterable[View], now: float) -> WorldPicture:
    """Of looks at all areas; pods have no process ids that would mean anything to others."""
    areas, spares = [], {}
    for view in views:
        spares.update({process.name: ProcessPicture(process.url, None, process.name) for process in view.spares})
        if view.spec is not None:
            said = {name: Said(process.status, now - process.silent) for name, process in view.processes.items()}
            found = {name: Whereabouts(process.url, None) for name, process in view.processes.items()}
            areas.append(area_picture(view.spec, view.recorded, said, found))
    return WorldPicture(areas, [spares[name] for name in sorted(spares)])


def _status(world: LocalWorld, name: str) -> ReplicaStatus | None:
    observer = world.observers.get(name)
    status = observer.status if observer is not None else None
    return status if isinstance(status, ReplicaStatus) else None


def _area(world: LocalWorld, spec: AreaSpec, said: Mapping[str, Said]) -> AreaPicture:
    recorded = world.recorded.get(spec.area)
    members = recorded.members() if recorded else ()
    found = {
        name: Whereabouts(process.url, process.pid)
        for member in members
        if (process := world.pool.processes.get(name := member.replica)) is not None
    }
    return area_picture(spec, recorded, said, found)


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
) -> AreaPicture:
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
        ReplicaPicture(
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
    return AreaPicture(
        area=spec.area,
        plane=spec.plane,
        bounds=spec.bounds,
        redundant=not sentence,
        generation=recorded.generation if recorded else 0,
        replicas=sorted(replicas, key=lambda r: (r.role != "active", r.replica)),
        witness=ProcessPicture(*found.get(witness, nowhere), witness),
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
