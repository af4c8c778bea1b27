"""The local world's own HTTP API, on loopback: its picture, its console, and the orders that a user gives."""

from __future__ import annotations

import msgspec
from aiohttp import web

from pairsim.client.errors import ClientError
from pairsim.model.world_status import WorldPicture
from pairsim_controller.console.feed import Feed
from pairsim_controller.console.history import History
from pairsim_controller.console.loopback_guard import MAX_BODY, guard, problem
from pairsim_controller.console.loopback_guard import order as read_order
from pairsim_controller.console.page import add_page
from pairsim_controller.local.processes_api import EndOrder, Processes, StartOrder
from pairsim_controller.local.prometheus import Targets
from pairsim_controller.local.world import LocalWorld
from pairsim_controller.local.world_status import world_status

_ROLES = ("active", "passive", "witness")
_SENTENCES = {
    404: "there is nothing; the console is at /, the world for programs at /v1/world",
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
        order = await read_order(request, EndOrder)
        if isinstance(order, web.Response):
            return order
        try:
            pid = self.processes.end(order)
        except KeyError:
            return problem(404, f"there is no process {order.process!r}: they are at /v1/processes")
        if pid is None:
            return problem(409, f"{order.process} is not running at the moment")
        return web.json_response({"replica": order.process, "pid": pid})

    async def start(self, request: web.Request) -> web.Response:
        order = await read_order(request, StartOrder)
        if isinstance(order, web.Response):
            return order
        try:
            pid = self.processes.start(order)
        except KeyError:
            return problem(404, f"there is no process {order.process!r}: they are at /v1/processes")
        return web.json_response({"replica": order.process, "pid": pid})

    async def show(self, _request: web.Request) -> web.Response:
        return web.json_response(body=msgspec.json.encode(world_status(self._world)))

    async def kill(self, request: web.Request) -> web.Response:
        order = await read_order(request, Order)
        if isinstance(order, web.Response):
            return order
        if order.role not in _ROLES:
            return problem(400, f"role {order.role!r} is none of {', '.join(_ROLES)}")
        name = self._world.find_replica(order.area, order.role)
        if name is None:
            return _missing(self._world, order)
        pid = self._world.pool.processes[name].kill()
        if pid is None:
            return problem(409, f"{name} is not running at the moment")
        return web.json_response({"replica": name, "pid": pid})

    async def switchover(self, request: web.Request) -> web.Response:
        order = await read_order(request, Order)
        if isinstance(order, web.Response):
            return order
        name = self._world.find_replica(order.area, "active")
        if name is None:
            return _missing(self._world, order)
        try:
            answer = await self._world.watchers[name].client.switchover()
        except ClientError as error:
            return problem(409, str(error))
        return web.json_response(body=msgspec.json.encode(answer))


class _Shown:
    """A local world, for the console."""

    can_kill, note = True, ""

    def __init__(self, world: LocalWorld) -> None:
        self._world = world

    def picture(self) -> WorldPicture:
        return world_status(self._world)


def world_app(world: LocalWorld, hosts: frozenset[str], history: History | None = None) -> web.Application:
    """The application; `hosts` are the names that it is reached by, `history` what the console's timeline shows."""
    service = _Service(world)

    guarding = guard(hosts, "this world", _SENTENCES)
    app = web.Application(client_max_size=MAX_BODY, middlewares=[guarding])
    targets, feed = Targets(world), Feed(_Shown(world), history or History())
    add_page(app)
    app.cleanup_ctx.append(feed.running)
    app.router.add_get("/v1/console", feed.serve)
    app.router.add_get("/v1/world", service.show)
    app.router.add_get("/v1/targets", targets.targets)
    app.router.add_get("/metrics", targets.metrics)
    app.router.add_get("/v1/processes", service.processes.show)
    app.router.add_post("/v1/processes/end", service.end)
    app.router.add_post("/v1/processes/start", service.start)
    app.router.add_post("/v1/kill", service.kill)
    app.router.add_post("/v1/switchover", service.switchover)
    return app


def _missing(world: LocalWorld, order: Order) -> web.Response:
    areas = sorted(spec.area for spec in world.areas)
    if order.area not in areas:
        return problem(404, f"there is no area {order.area!r}: this world has {', '.join(areas)}")
    return problem(409, f"{order.area} has no {order.role} at the moment: try again")
