"""The HTTP API of a witness process: its areas' groups, and the controller's orders."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
from aiohttp import web

from pairsim.protocol.frames import MAX_BODY
from pairsim.replication.service import WitnessService
from pairsim.server.control.assignment import Assigning
from pairsim.server.control.probes import live
from pairsim.server.control.watch import Watch, witness_key
from pairsim.server.http.auth import guarded
from pairsim.server.http.errors import answer_errors
from pairsim.server.http.misdirected import only_this_process
from pairsim.server.http.notifications import Signal
from pairsim.server.http.requests import Blocking
from pairsim.server.metrics.registry import WitnessMetrics


def witness_app(port: WitnessService, token: str) -> web.Application:
    """The application; its background work starts and ends with it."""
    app = web.Application(middlewares=[answer_errors, only_this_process(port)], client_max_size=MAX_BODY)
    changes = Signal()
    blocking = Blocking("control", threads=1, waiting=256)
    assigning = Assigning(port, blocking)
    metrics = WitnessMetrics(port.status)
    watch = Watch(port.status, witness_key, changes, token)

    async def status(_request: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(port.status()), content_type="application/json")

    async def listen(_app: web.Application) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()

        def changed() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(changes.notify)

        unwatch = port.watch(changed)
        yield
        unwatch()
        blocking.close()

    async def goodbye(_app: web.Application) -> None:
        await watch.sockets.close()

    app.add_routes(
        [
            web.get("/v1/status", status),
            web.get("/v1/watch", watch.handle),
            web.put("/v1/assignment", guarded(token, assigning.assign)),
            web.delete("/v1/assignment", guarded(token, assigning.release)),
            web.post("/v1/leave", guarded(token, assigning.leave)),
            web.get("/livez", live),
            web.get("/readyz", live),
            web.get("/metrics", metrics.handle),
        ]
    )
    app.cleanup_ctx.append(listen)
    app.on_shutdown.append(goodbye)
    return app
