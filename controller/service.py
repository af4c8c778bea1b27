"""The local world's own HTTP API, on loopback: its picture, and the two orders that a user gives.

A web page of somebody else must not give them: orders need the content type application/json, which a page cannot send
to another origin unasked, and requests for other host names are refused (DNS rebinding).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
from aiohttp import web

from controller.console.feed import Feed
from controller.console.page import add_page
from controller.local import LocalWorld
from controller.picture import WorldPicture, picture
from controller.processes import EndOrder, Processes
from controller.targets import Targets
from pairsim.network.client_errors import ClientError

T = TypeVar("T")

_ROLES = ("active", "passive", "witness")
MAX_BODY = 4096
_SENTENCES = {
    404: "there is nothing; the console is at /, the world for programs at /v1/world",
    413: f"an order has at most {MAX_BODY} bytes",
}


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a user wants done to an area."""

    area: str
    role: str = "active"


class _Service:
    """The handlers."""

    def __init__(self, world: LocalWorld) -> None:
        self._world = world
        self.processes = Processes(world)

    async def end(self, request: web.Request) -> web.Response:
        order = await _order(request, EndOrder)
        if isinstance(order, web.Response):
            return order
        try:
            pid = self.processes.end(order)
        except KeyError:
            return _error(404, f"there is no process {order.process!r}: they are at /v1/processes")
        if pid is None:
            return _error(409, f"{order.process} is not running at the moment")
        return web.json_response({"replica": order.process, "pid": pid})

    async def show(self, _request: web.Request) -> web.Response:
        return web.json_response(body=msgspec.json.encode(picture(self._world)))

    async def kill(self, request: web.Request) -> web.Response:
        order = await _order(request, Order)
        if isinstance(order, web.Response):
            return order
        if order.role not in _ROLES:
            return _error(400, f"role {order.role!r} is none of {', '.join(_ROLES)}")
        name = self._world.replica(order.area, order.role)
        if name is None:
            return _missing(self._world, order)
        pid = self._world.pool.processes[name].kill()
        if pid is None:
            return _error(409, f"{name} is not running at the moment")
        return web.json_response({"replica": name, "pid": pid})

    async def switchover(self, request: web.Request) -> web.Response:
        order = await _order(request, Order)
        if isinstance(order, web.Response):
            return order
        name = self._world.replica(order.area, "active")
        if name is None:
            return _missing(self._world, order)
        try:
            answer = await self._world.observers[name].client.switchover()
        except ClientError as error:
            return _error(409, str(error))
        return web.json_response(body=msgspec.json.encode(answer))


class _Shown:
    """A local world, for the console."""

    can_kill = True

    def __init__(self, world: LocalWorld) -> None:
        self._world = world

    def picture(self) -> WorldPicture:
        return picture(self._world)


def world_app(world: LocalWorld, hosts: frozenset[str]) -> web.Application:
    """The application; `hosts` are the names that it is reached by."""
    service = _Service(world)

    @web.middleware
    async def guard(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if request.host.rpartition(":")[0] not in hosts and request.host not in hosts:
            return _error(403, f"this world does not answer as {request.host}")
        try:
            return await handler(request)
        except web.HTTPException as error:
            return _error(
                error.status, f"{request.method} {request.path}: {_SENTENCES.get(error.status, error.reason)}"
            )

    app = web.Application(client_max_size=MAX_BODY, middlewares=[guard])
    targets, feed = Targets(world), Feed(_Shown(world))
    add_page(app)
    app.cleanup_ctx.append(feed.running)
    app.router.add_get("/v1/console", feed.serve)
    app.router.add_get("/v1/world", service.show)
    app.router.add_get("/v1/targets", targets.targets)
    app.router.add_get("/metrics", targets.metrics)
    app.router.add_get("/v1/processes", service.processes.show)
    app.router.add_post("/v1/processes/end", service.end)
    app.router.add_post("/v1/kill", service.kill)
    app.router.add_post("/v1/switchover", service.switchover)
    return app


async def _order(request: web.Request, kind: type[T]) -> T | web.Response:
    if request.content_type != "application/json":
        return _error(415, "orders are sent as application/json")
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except msgspec.MsgspecError as error:
        return _error(400, f"this is no order: {error}")


def _missing(world: LocalWorld, order: Order) -> web.Response:
    areas = sorted(spec.area for spec in world.areas)
    if order.area not in areas:
        return _error(404, f"there is no area {order.area!r}: this world has {', '.join(areas)}")
    return _error(409, f"{order.area} has no {order.role} at the moment: try again")


def _error(status: int, sentence: str) -> web.Response:
    return web.json_response({"error": sentence}, status=status)
