"""The HTTP API of a witness process: the status of its areas' groups, and the controller's requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
from aiohttp import web

from pairsim.protocol.frames import MAX_BODY
from pairsim.replication.service import WitnessService
from pairsim.server.control.assignment import AssignmentHandlers
from pairsim.server.control.probes import live
from pairsim.server.control.watch import WatchHandler
from pairsim.server.errors import to_http_error
from pairsim.server.http.auth import guarded
from pairsim.server.http.errors import answer_errors
from pairsim.server.http.misdirected import require_process
from pairsim.server.http.requests import BoundedExecutor
from pairsim.server.metrics.registry import WitnessMetrics
from pairsim.server.notifications import Signal, call_in_loop


def witness_app(service: WitnessService, token: str) -> web.Application:
    """Returns the application of a witness; its background work starts and ends with it."""
    middlewares = [answer_errors(to_http_error), require_process(lambda: service.status().replica)]
    app = web.Application(middlewares=middlewares, client_max_size=MAX_BODY)
    changes = Signal()
    executor = BoundedExecutor("control", threads=1, waiting=256)
    assignment = AssignmentHandlers(service, executor)
    metrics = WitnessMetrics(service.status)
    watch = WatchHandler(service.status, changes, token)

    async def status(_request: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(service.status()), content_type="application/json")

    async def lifespan(_app: web.Application) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()

        def on_change() -> None:
            call_in_loop(loop, changes.notify)

        unwatch = service.watch(on_change)
        yield
        unwatch()
        executor.close()

    async def on_shutdown(_app: web.Application) -> None:
        await watch.sockets.close()

    app.add_routes(
        [
            web.get("/v1/status", status),
            web.get("/v1/watch", watch.handle),
            web.put("/v1/assignment", guarded(token, assignment.assign)),
            web.delete("/v1/assignment", guarded(token, assignment.release)),
            web.post("/v1/leave", guarded(token, assignment.leave)),
            web.get("/livez", live),
            web.get("/readyz", live),
            web.get("/metrics", metrics.handle),
        ]
    )
    app.cleanup_ctx.append(lifespan)
    app.on_shutdown.append(on_shutdown)
    return app
