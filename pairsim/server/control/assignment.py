"""The controller's orders to a simulator process: assignment, authority, switchover."""

from __future__ import annotations

import functools

import msgspec
from aiohttp import web

from pairsim.model.assignment import Assignment
from pairsim.model.authority import Authority
from pairsim.protocol.frames import SwitchoverAnswer
from pairsim.replication.service import NotActiveError, ReplicaService, WitnessService
from pairsim.server.http.errors import HttpError
from pairsim.server.http.requests import Blocking, decode_json, read_body, takes

ASSIGN_SECONDS = 30.0
AUTHORISE_SECONDS = 5.0
SWITCHOVER_SECONDS = 5.0
_GRACE = 1.0


class Control:
    """Handlers; each waits in a thread of its own, one after the other."""

    def __init__(self, port: ReplicaService, blocking: Blocking) -> None:
        self._port, self._blocking = port, blocking

    async def authorise(self, request: web.Request) -> web.Response:
        """`PUT /v1/authority`."""
        authority = decode_json(await read_body(request), Authority)
        work = functools.partial(self._port.authorise, authority, AUTHORISE_SECONDS)
        try:
            await self._blocking.run(work, AUTHORISE_SECONDS + _GRACE)
        except NotActiveError as error:
            raise HttpError(421, str(error)) from error
        return web.Response(status=204)

    async def switchover(self, request: web.Request) -> web.Response:
        """`POST /v1/switchover`."""
        await read_body(request)
        work = functools.partial(self._port.switchover, SWITCHOVER_SECONDS)
        try:
            done = await self._blocking.run(work, SWITCHOVER_SECONDS + _GRACE)
        except NotActiveError as error:
            raise HttpError(421, str(error)) from error
        body = msgspec.json.encode(SwitchoverAnswer(done.gap_ms, done.term))
        return web.Response(body=body, content_type="application/json")


class Assigning:
    """`PUT` and `DELETE /v1/assignment`, `POST /v1/leave`: the same for simulators and witnesses."""

    def __init__(self, port: ReplicaService | WitnessService, blocking: Blocking) -> None:
        self._port, self._blocking = port, blocking

    async def assign(self, request: web.Request) -> web.Response:
        """Makes the process a member of a generation."""
        assignment = decode_json(await read_body(request), Assignment)
        await self._blocking.run(functools.partial(self._port.assign, assignment), ASSIGN_SECONDS)
        return web.Response(status=204)

    async def release(self, request: web.Request) -> web.Response:
        """Makes it leave its area."""
        takes(request, "area")
        area = request.query.get("area", "")
        if not area:
            raise HttpError(400, "the query needs area=, the area to leave")
        await self._blocking.run(functools.partial(self._port.release, area), ASSIGN_SECONDS)
        return web.Response(status=204)

    async def leave(self, request: web.Request) -> web.Response:
        """`POST /v1/leave`: the process will end soon, and says so from now on."""
        await read_body(request)
        self._port.leave()
        return web.Response(status=204)
