"""What Kubernetes asks: alive, ready, and which of the pair this is."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from pairsim.model.status import ReplicaStatus, Role
from pairsim.server.http.errors import Handler, HttpError


class Probes:
    """200 or 503 by role. A process that stops is not ready any more, whatever its role."""

    def __init__(self, status: Callable[[], ReplicaStatus]) -> None:
        self._status = status
        self.stopping = False

    def routes(self) -> list[web.RouteDef]:
        """All four."""
        return [
            web.get("/livez", live),
            web.get("/readyz", self._ready),
            web.get("/active", self._role(Role.ACTIVE)),
            web.get("/passive", self._role(Role.PASSIVE)),
        ]

    async def _ready(self, _request: web.Request) -> web.Response:
        if self.stopping:
            raise HttpError(503, "this process stops")
        role = self._status().role
        if role is Role.JOINING:
            raise HttpError(503, "this replica has no state yet: it is joining")
        return web.Response(text=f"{role.value}\n")

    def _role(self, wanted: Role) -> Handler:
        async def probe(_request: web.Request) -> web.Response:
            role = self._status().role
            if role is not wanted:
                raise HttpError(503, f"this process is {role.value}")
            return web.Response(text=f"{role.value}\n")

        return probe


async def live(_request: web.Request) -> web.Response:
    """The event loop runs."""
    return web.Response(text="alive\n")
