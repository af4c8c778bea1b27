"""The world as `pairsim status --json` shows it."""

from __future__ import annotations

import msgspec

from controller.local import LocalWorld
from pairsim.model.assignment import AreaSpec, ReplicaStatus, Role
from pairsim.model.geometry import Box


class ReplicaPicture(msgspec.Struct, frozen=True):
    """One replica; `lag_ticks` is how far its state is behind the newest committed tick of the area."""

    replica: str
    role: str
    term: int
    tick: int
    lag_ticks: int
    entities: int
    url: str
    pid: int | None


class ProcessPicture(msgspec.Struct, frozen=True):
    """A witness or a spare."""

    url: str
    pid: int | None


class AreaPicture(msgspec.Struct, frozen=True):
    """One area. `redundant`: the passive could take over right now, and the witness is there."""

    area: str
    plane: str
    bounds: Box
    redundant: bool
    generation: int
    replicas: list[ReplicaPicture]
    witness: ProcessPicture


class WorldPicture(msgspec.Struct, frozen=True):
    """All of it."""

    areas: list[AreaPicture]
    spares: list[ProcessPicture]


def picture(world: LocalWorld) -> WorldPicture:
    """As it is now."""
    spares = [
        ProcessPicture(process.url, process.pid)
        for name, process in world.pool.processes.items()
        if (status := _status(world, name)) is not None and status.role is Role.SPARE
    ]
    return WorldPicture([_area(world, spec) for spec in world.areas], spares)


def _status(world: LocalWorld, name: str) -> ReplicaStatus | None:
    observer = world.observers.get(name)
    status = observer.status if observer is not None else None
    return status if isinstance(status, ReplicaStatus) else None


def _area(world: LocalWorld, spec: AreaSpec) -> AreaPicture:
    recorded = world.recorded.get(spec.area)
    names = [m.replica for m in recorded.replicas] if recorded else []
    statuses = {name: status for name in names if (status := _status(world, name)) and status.area == spec.area}
    newest = max((status.tick for status in statuses.values()), default=0)
    active = max((s for s in statuses.values() if s.role is Role.ACTIVE), key=lambda s: s.term, default=None)
    replicas = [
        ReplicaPicture(
            replica=name,
            role=status.role.value,
            term=status.term,
            tick=status.tick,
            lag_ticks=newest - status.synced_tick,
            entities=status.entities,
            url=world.pool.processes[name].url,
            pid=world.pool.processes[name].pid,
        )
        for name, status in statuses.items()
    ]
    witness = world.pool.processes.get(recorded.witness.replica) if recorded else None
    return AreaPicture(
        area=spec.area,
        plane=spec.plane,
        bounds=spec.bounds,
        redundant=active is not None and active.peer_in_sync and len(statuses) == 2,
        generation=recorded.generation if recorded else 0,
        replicas=sorted(replicas, key=lambda r: (r.role != "active", r.replica)),
        witness=ProcessPicture(witness.url if witness else "", witness.pid if witness else None),
    )
