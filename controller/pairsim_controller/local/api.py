"""The HTTP API of a local world, on loopback: its status, its console, and the commands of its user."""

from __future__ import annotations

import msgspec
from aiohttp import web

from pairsim.model.world_status import WorldStatus, unknown_area_message
from pairsim.server.http.requests import read_json
from pairsim_controller.console.feed import Feed
from pairsim_controller.console.locator import Locator
from pairsim_controller.console.page import add_page
from pairsim_controller.console.responses import MAX_BODY_BYTES, answer_console_errors, answer_of_active, error_response
from pairsim_controller.local.processes_api import (
    EndProcessRequest,
    ProcessesApi,
    SignalEngineRequest,
    StartProcessRequest,
)
from pairsim_controller.local.prometheus import PrometheusApi
from pairsim_controller.local.world import LocalWorld
from pairsim_controller.local.world_status import world_status

_ROLES = ("active", "passive", "witness")
_UNKNOWN_PATH = "unknown path; the console is at /, the world's status at /v1/world"


class AreaAction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /v1/kill` and `POST /v1/switchover`; the latter reads the area alone.

    Attributes:
        area: The name of the area.
        role: The role of the process in the area.
        engine: Whether the engine of the process is killed, and the process itself goes on.
    """

    area: str
    role: str = "active"
    engine: bool = False


class SkipCommandRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /v1/skip`: a command of the tick at which an area fails."""

    area: str
    command: str


class RestartEnginesRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /v1/engines/restart`."""

    area: str
    even_if_seen: bool = False


class _WorldApi:
    """The handlers."""

    def __init__(self, world: LocalWorld) -> None:
        self._world = world
        self.processes = ProcessesApi(world)

    async def end(self, request: web.Request) -> web.Response:
        wanted = await read_json(request, EndProcessRequest)
        try:
            pid = self.processes.end(wanted)
        except KeyError:
            return _unknown_process(wanted.process)
        if pid is None:
            return error_response(409, f"{wanted.process} is not running at the moment")
        return web.json_response({"replica": wanted.process, "pid": pid})

    async def start(self, request: web.Request) -> web.Response:
        wanted = await read_json(request, StartProcessRequest)
        try:
            pid = self.processes.start(wanted)
        except KeyError:
            return _unknown_process(wanted.process)
        return web.json_response({"replica": wanted.process, "pid": pid})

    async def show(self, _request: web.Request) -> web.Response:
        return web.json_response(body=msgspec.json.encode(world_status(self._world)))

    async def maps(self, _request: web.Request) -> web.Response:
        return web.json_response(body=msgspec.json.encode(self._world.maps))

    async def kill(self, request: web.Request) -> web.Response:
        action = await read_json(request, AreaAction)
        if action.role not in _ROLES:
            return error_response(400, f"role {action.role!r} must be one of {', '.join(_ROLES)}")
        if action.engine and action.role == "witness":
            return error_response(400, "a witness has no engine: give the role active or passive")
        name = self._world.find_replica(action.area, action.role)
        if name is None:
            return _missing_role(self._world, action.area, action.role)
        if action.engine:
            return self._signal_engine(SignalEngineRequest(name, "SIGKILL"))
        pid = self._world.pool.processes[name].terminate()
        if pid is None:
            return error_response(409, f"{name} is not running at the moment")
        return web.json_response({"replica": name, "pid": pid})

    async def signal_engine(self, request: web.Request) -> web.Response:
        wanted = await read_json(request, SignalEngineRequest)
        try:
            return self._signal_engine(wanted)
        except KeyError:
            return _unknown_process(wanted.process)

    def _signal_engine(self, wanted: SignalEngineRequest) -> web.Response:
        pid = self.processes.signal_engine(wanted)
        if pid is None:
            return error_response(409, f"{wanted.process} has no engine at the moment: try again")
        return web.json_response({"replica": wanted.process, "pid": pid})

    async def switchover(self, request: web.Request) -> web.Response:
        action = await read_json(request, AreaAction)
        name = self._world.find_replica(action.area, "active")
        if name is None:
            return _missing_role(self._world, action.area, action.role)
        return await answer_of_active(self._world.watchers[name].client.switchover())

    async def skip(self, request: web.Request) -> web.Response:
        wanted = await read_json(request, SkipCommandRequest)
        name = self._world.find_replica(wanted.area, "active")
        if name is None:
            return _missing_role(self._world, wanted.area, "active")
        return await answer_of_active(self._world.watchers[name].client.skip(wanted.command))

    async def failing_tick(self, request: web.Request) -> web.Response:
        area = request.query.get("area", "")
        name = self._world.find_replica(area, "active")
        if name is None:
            return _missing_role(self._world, area, "active")
        return await answer_of_active(self._world.watchers[name].client.failing_tick())

    async def restart_engines(self, request: web.Request) -> web.Response:
        wanted = await read_json(request, RestartEnginesRequest)
        name = self._world.find_replica(wanted.area, "active")
        if name is None:
            return _missing_role(self._world, wanted.area, "active")
        client = self._world.watchers[name].client
        return await answer_of_active(client.restart_engines(even_if_seen=wanted.even_if_seen))


class _LocalSource:
    """A local world, for the console."""

    can_kill, note = True, ""

    def __init__(self, world: LocalWorld) -> None:
        self._world = world

    def world_status(self) -> WorldStatus:
        return world_status(self._world)


def world_app(world: LocalWorld) -> web.Application:
    """Returns the application.

    Args:
        world: The world.
    """
    api = _WorldApi(world)
    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[answer_console_errors(_UNKNOWN_PATH)])
    prometheus, feed = PrometheusApi(world), Feed(_LocalSource(world), world.history)
    add_page(app)
    feed.add_to(app)
    app.router.add_get("/v1/world", api.show)
    app.router.add_get("/v1/map", api.maps)
    Locator(lambda: world.maps).add_to(app)
    app.router.add_get("/v1/targets", prometheus.targets)
    app.router.add_get("/metrics", prometheus.metrics)
    app.router.add_get("/v1/processes", api.processes.show)
    app.router.add_post("/v1/processes/end", api.end)
    app.router.add_post("/v1/processes/start", api.start)
    app.router.add_post("/v1/processes/signal-engine", api.signal_engine)
    app.router.add_post("/v1/kill", api.kill)
    app.router.add_post("/v1/switchover", api.switchover)
    app.router.add_get("/v1/skip", api.failing_tick)
    app.router.add_post("/v1/skip", api.skip)
    app.router.add_post("/v1/engines/restart", api.restart_engines)
    return app


def _unknown_process(name: str) -> web.Response:
    return error_response(404, f"unknown process {name!r}: GET /v1/processes lists all of them")


def _missing_role(world: LocalWorld, area: str, role: str) -> web.Response:
    areas = sorted(spec.area for spec in world.areas)
    if area not in areas:
        return error_response(404, unknown_area_message(area, areas))
    return error_response(409, f"{area} has no {role} at the moment: try again")
