"""The console of a world in a cluster.

The controller that holds the Lease serves the console on loopback, for a user who forwards a port to its pod.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from pairsim.client import ProcessClient
from pairsim.model.authority import WorldMap
from pairsim.model.world_status import WorldStatus
from pairsim.server.http.requests import read_json
from pairsim_controller.console.feed import Feed
from pairsim_controller.console.locator import Locator
from pairsim_controller.console.page import add_page
from pairsim_controller.console.responses import MAX_BODY_BYTES, answer_console_errors, answer_of_active, error_response
from pairsim_controller.kube.manager import Manager

_NOT_LEADING = "this controller waits for the Lease: forward a port to the one that holds it"
_UNKNOWN_PATH = "unknown path; the console is at /"


class ClusterSwitchoverRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /v1/switchover`."""

    area: str


class ClusterSkipRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /v1/skip`."""

    area: str
    command: str


class ClusterRestartRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /v1/engines/restart`."""

    area: str
    even_if_seen: bool = False


class _ClusterSource:
    """The world that the manager controls; empty while another controller holds the lease."""

    can_kill = False

    def __init__(self, manager: Manager) -> None:
        self._manager = manager

    @property
    def note(self) -> str:
        return "" if self._manager.cluster is not None else _NOT_LEADING

    def world_status(self) -> WorldStatus:
        cluster = self._manager.cluster
        return cluster.world_status() if cluster is not None else WorldStatus([], [])


def map_response(manager: Manager) -> web.Response:
    """Returns the newest maps of all planes as JSON; 503 while another controller holds the lease."""
    cluster = manager.cluster
    if cluster is None:
        return error_response(503, _NOT_LEADING)
    return web.Response(body=msgspec.json.encode(cluster.world_map()), content_type="application/json")


def add_locator(app: web.Application, manager: Manager) -> None:
    """Adds `GET /v1/locate/{entity}` to an application; 503 while another controller holds the lease."""

    def maps() -> WorldMap | None:
        cluster = manager.cluster
        return cluster.world_map() if cluster is not None else None

    Locator(maps, _NOT_LEADING).add_to(app)


def console_app(manager: Manager) -> web.Application:
    """Returns the console's application, to be served to requests for loopback host names only."""

    async def order(area: str, act: Callable[[ProcessClient], Awaitable[msgspec.Struct]]) -> web.Response:
        cluster = manager.cluster
        if cluster is None:
            return error_response(409, _NOT_LEADING)
        active = cluster.active_client(area)
        if active is None:
            return error_response(409, f"{area} has no active at the moment: try again")
        return await answer_of_active(act(active))

    async def switchover(request: web.Request) -> web.Response:
        wanted = await read_json(request, ClusterSwitchoverRequest)
        return await order(wanted.area, lambda active: active.switchover())

    async def skip(request: web.Request) -> web.Response:
        wanted = await read_json(request, ClusterSkipRequest)
        return await order(wanted.area, lambda active: active.skip(wanted.command))

    async def failing_tick(request: web.Request) -> web.Response:
        return await order(request.query.get("area", ""), lambda active: active.failing_tick())

    async def restart_engines(request: web.Request) -> web.Response:
        wanted = await read_json(request, ClusterRestartRequest)
        return await order(wanted.area, lambda active: active.restart_engines(even_if_seen=wanted.even_if_seen))

    async def maps(_request: web.Request) -> web.Response:
        return map_response(manager)

    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[answer_console_errors(_UNKNOWN_PATH)])
    feed = Feed(_ClusterSource(manager), manager.history)
    add_page(app)
    feed.add_to(app)
    app.router.add_get("/v1/map", maps)
    add_locator(app, manager)
    app.router.add_post("/v1/switchover", switchover)
    app.router.add_get("/v1/skip", failing_tick)
    app.router.add_post("/v1/skip", skip)
    app.router.add_post("/v1/engines/restart", restart_engines)
    return app
