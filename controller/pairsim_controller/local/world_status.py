"""The status of a local world, as `pairsim status --json` shows it."""

from __future__ import annotations

import time
from collections.abc import Mapping

from pairsim.model.area import AreaSpec
from pairsim.model.status import ReplicaStatus, Role
from pairsim.model.world_status import AreaStatusView, ProcessRow, WorldStatus
from pairsim_controller.local.world import LocalWorld
from pairsim_controller.reconcile.world_status import Said, Whereabouts, area_picture


def picture(world: LocalWorld) -> WorldStatus:
    """As it is now."""
    spares = [
        ProcessRow(process.url, process.pid, name)
        for name, process in world.pool.processes.items()
        if (status := _status(world, name)) is not None and status.role is Role.SPARE
    ]
    now = time.monotonic()
    said = {name: Said(observer.status, now - observer.silent) for name, observer in world.observers.items()}
    return WorldStatus([_area(world, spec, said) for spec in world.areas], spares)


def _status(world: LocalWorld, name: str) -> ReplicaStatus | None:
    observer = world.observers.get(name)
    status = observer.status if observer is not None else None
    return status if isinstance(status, ReplicaStatus) else None


def _area(world: LocalWorld, spec: AreaSpec, said: Mapping[str, Said]) -> AreaStatusView:
    recorded = world.recorded.get(spec.area)
    members = recorded.members() if recorded else ()
    found = {
        name: Whereabouts(process.url, process.pid)
        for member in members
        if (process := world.pool.processes.get(name := member.replica)) is not None
    }
    return area_picture(spec, recorded, said, found)
