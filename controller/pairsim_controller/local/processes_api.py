"""The processes of a local world, for whoever tries what the world bears: what they are, and how they can be ended."""

from __future__ import annotations

from typing import Annotated

import msgspec
from aiohttp import web

from pairsim.model.world_status import LocalProcessStatus
from pairsim_controller.local.process import Ending
from pairsim_controller.local.world import LocalWorld

MAX_AWAY = 3600.0


class EndOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /v1/processes/end`; see `Ending`."""

    process: str
    grace: Annotated[float, msgspec.Meta(ge=0, le=MAX_AWAY)] = 0.0
    away: Annotated[float, msgspec.Meta(ge=0, le=MAX_AWAY)] = 0.0
    fresh: bool = False


class StartOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /v1/processes/start`: a process that is away need not wait any longer."""

    process: str


def processes(world: LocalWorld) -> list[LocalProcessStatus]:
    """All of them, as they are now."""
    labels = world.labels
    planes = {spec.area: spec.plane for spec in world.areas}
    seen = []
    for name, process in world.pool.processes.items():
        label = labels.get(name)
        seen.append(
            LocalProcessStatus(
                process=name,
                kind=process.slot.kind.value,
                plane=planes.get(label.area, "") if label else "",
                area=label.area if label else "",
                role=label.role.value if label else "",
                url=process.url,
                peer=process.peer,
                pid=process.pid,
                network=str(process.network or ""),
                folder=str(process.folder.resolve()),
            )
        )
    return seen


class Processes:
    """The handlers."""

    def __init__(self, world: LocalWorld) -> None:
        self._world = world

    async def show(self, _request: web.Request) -> web.Response:
        """`GET /v1/processes`."""
        return web.json_response(body=msgspec.json.encode(processes(self._world)))

    def end(self, order: EndOrder) -> int | None:
        """Ends a process once; its pid, None if it does not run.

        Raises:
            KeyError: There is none of this name.
        """
        process = self._world.pool.processes[order.process]
        return process.kill(Ending(order.grace, order.away, order.fresh))

    def start(self, order: StartOrder) -> int | None:
        """Starts a process that waits for it; its pid if it runs already and is not about to end, else None.

        Raises:
            KeyError: There is none of this name.
        """
        return self._world.pool.processes[order.process].come_back()
