"""The status of a local world, as `pairsim status --json` shows it."""

from __future__ import annotations

import time
from collections.abc import Mapping

from pairsim.model.area import AreaSpec
from pairsim.model.status import Role
from pairsim.model.world_status import AreaStatusView, ProcessRow, WorldStatus
from pairsim_controller.local.world import LocalWorld
from pairsim_controller.reconcile.world_status import Endpoint, ObservedStatus, area_status_view, world_status_of


def world_status(world: LocalWorld) -> WorldStatus:
    """Returns the status of all areas and spares as it is now."""
    spares = [
        ProcessRow(process.url, process.pid, name)
        for name, process in world.pool.processes.items()
        if (status := world.watchers.replica_status(name)) is not None and status.role is Role.SPARE
    ]
    now = time.monotonic()
    observed = {
        name: ObservedStatus(watcher.status, now - watcher.silent_seconds) for name, watcher in world.watchers.items()
    }
    return world_status_of([_area(world, spec, observed) for spec in world.areas], spares)


def _area(world: LocalWorld, spec: AreaSpec, observed: Mapping[str, ObservedStatus]) -> AreaStatusView:
    recorded = world.recorded.get(spec.area)
    members = recorded.members() if recorded else ()
    endpoints = {
        name: Endpoint(process.url, process.pid)
        for member in members
        if (process := world.pool.processes.get(name := member.replica)) is not None
    }
    notes = {name: note for member in members if (note := world.note(name := member.replica))}
    return area_status_view(spec, recorded, observed, endpoints, notes, world.command_options)
