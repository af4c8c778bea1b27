"""The controller's requests to a process: assignment, authority, switchover, orders, leaving, warm engines.

A handler waits for the replica in a thread of a `BoundedExecutor`, one request after the other.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import msgspec
from aiohttp import web

from pairsim.model.assignment import Assignment
from pairsim.model.authority import Authority
from pairsim.protocol.frames import (
    FailingCommand,
    FailingTickAnswer,
    OrderAnswer,
    RestartRequest,
    SkipRequest,
    SwitchoverAnswer,
    WarmEngineRequest,
)
from pairsim.replication.service import NotActiveError, OrderResult, ReplicaService, WitnessService
from pairsim.server.http.errors import HttpError
from pairsim.server.http.misdirected import MISDIRECTED
from pairsim.server.http.requests import BoundedExecutor, decode_json, read_body, reject_unknown_query

ASSIGN_SECONDS = 30.0
AUTHORISE_SECONDS = 5.0
ORDER_SECONDS, RESTART_SECONDS = 5.0, 8.0
SWITCHOVER_SECONDS = 5.0
WARM_ENGINE_SECONDS = 5.0
_ANSWER_SECONDS = 1.0
"""How much longer a handler waits than the replica may take, so that the replica's own sentence arrives."""


class ControlHandlers:
    """Handlers of the requests that only a simulator carries out."""

    def __init__(self, service: ReplicaService, executor: BoundedExecutor, grants: BoundedExecutor) -> None:
        """Runs grants with `grants`: one that waits for a tick of a paused area must not keep an order waiting."""
        self._service, self._executor, self._grants = service, executor, grants

    async def authorise(self, request: web.Request) -> web.Response:
        """Handles `PUT /v1/authority`: brings the area a version of the map of its plane."""
        authority = decode_json(await read_body(request), Authority)
        work = functools.partial(self._service.authorise, authority, AUTHORISE_SECONDS)
        try:
            await self._grants.run(work, AUTHORISE_SECONDS + _ANSWER_SECONDS)
        except NotActiveError as error:
            raise HttpError(MISDIRECTED, str(error)) from error
        return web.Response(status=204)

    async def skip(self, request: web.Request) -> web.Response:
        """Handles `POST /v1/skip`: leaves a command out of the tick that fails on both replicas."""
        wanted = decode_json(await read_body(request), SkipRequest)
        return await self._order(functools.partial(self._service.skip, wanted.command, ORDER_SECONDS), ORDER_SECONDS)

    async def failing_tick(self, request: web.Request) -> web.Response:
        """Handles `GET /v1/skip`: lists the commands of the tick before which the area is paused."""
        reject_unknown_query(request)
        try:
            found = self._service.failing_tick()
        except NotActiveError as error:
            raise HttpError(MISDIRECTED, str(error)) from error
        commands = [FailingCommand(c.id, c.op, c.entity, c.id in found.left_out) for c in found.commands]
        body = msgspec.json.encode(FailingTickAnswer(found.tick, commands))
        return web.Response(body=body, content_type="application/json")

    async def restart_engines(self, request: web.Request) -> web.Response:
        """Handles `POST /v1/engines/restart`: replaces the engines of the area by new ones."""
        body = await read_body(request)
        wanted = decode_json(body, RestartRequest) if body else RestartRequest()
        restart = self._service.restart_engines
        work = functools.partial(restart, RESTART_SECONDS, even_if_seen=wanted.even_if_seen)
        return await self._order(work, RESTART_SECONDS)

    async def _order(self, work: Callable[[], OrderResult], seconds: float) -> web.Response:
        try:
            done = await self._executor.run(work, seconds + _ANSWER_SECONDS)
        except NotActiveError as error:
            raise HttpError(MISDIRECTED, str(error)) from error
        body = msgspec.json.encode(OrderAnswer(**msgspec.structs.asdict(done)))
        return web.Response(body=body, content_type="application/json")

    async def warm_engine(self, request: web.Request) -> web.Response:
        """Handles `PUT /v1/warm-engine`: keeps an engine ready while the process is a spare, or none."""
        wanted = decode_json(await read_body(request), WarmEngineRequest)
        await self._executor.run(
            functools.partial(self._service.keep_warm_engine, keep=wanted.keep), WARM_ENGINE_SECONDS
        )
        return web.Response(status=204)

    async def switchover(self, request: web.Request) -> web.Response:
        """Handles `POST /v1/switchover`: hands the leadership over to the passive."""
        await read_body(request)
        work = functools.partial(self._service.switchover, SWITCHOVER_SECONDS)
        try:
            done = await self._executor.run(work, SWITCHOVER_SECONDS + _ANSWER_SECONDS)
        except NotActiveError as error:
            raise HttpError(MISDIRECTED, str(error)) from error
        body = msgspec.json.encode(SwitchoverAnswer(done.gap_ms, done.term))
        return web.Response(body=body, content_type="application/json")


class AssignmentHandlers:
    """Handlers of assigning, releasing and leaving: the same for simulators and witnesses."""

    def __init__(self, service: ReplicaService | WitnessService, executor: BoundedExecutor) -> None:
        self._service, self._executor = service, executor

    async def assign(self, request: web.Request) -> web.Response:
        """Handles `PUT /v1/assignment`: makes the process a member of a generation."""
        assignment = decode_json(await read_body(request), Assignment)
        await self._executor.run(functools.partial(self._service.assign, assignment), ASSIGN_SECONDS)
        return web.Response(status=204)

    async def release(self, request: web.Request) -> web.Response:
        """Handles `DELETE /v1/assignment?area=NAME`: makes the process leave the area."""
        reject_unknown_query(request, "area")
        area = request.query.get("area", "")
        if not area:
            raise HttpError(400, "the query needs area=, the area to leave")
        await self._executor.run(functools.partial(self._service.release, area), ASSIGN_SECONDS)
        return web.Response(status=204)

    async def leave(self, request: web.Request) -> web.Response:
        """Handles `POST /v1/leave`: the process will end soon, and its status says so from now on."""
        await read_body(request)
        self._service.leave()
        return web.Response(status=204)
