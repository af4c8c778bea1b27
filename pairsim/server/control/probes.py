"""Kubernetes's probes: whether the process is alive, whether it is ready, and which replica of the pair it is."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from pairsim.model.status import ReplicaStatus, Role
from pairsim.server.http.errors import Handler, HttpError


class ProbeHandlers:
    """Handlers that answer 200 or 503 by role.

    Attributes:
        stopping: Whether the process has begun to stop; it is not ready then, whatever its role.
    """

    def __init__(self, status: Callable[[], ReplicaStatus]) -> None:
        self._status = status
        self.stopping = False

    def routes(self) -> list[web.RouteDef]:
        """Returns the routes `/livez`, `/readyz`, `/active` and `/passive`."""
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
    """Handles `GET /livez`: an answer shows that the event loop runs."""
    return web.Response(text="alive\n")
