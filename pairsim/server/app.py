"""The HTTP API of a simulator process: routes to handlers, and what lives as long as the application does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
from aiohttp import web

from pairsim.protocol.frames import MAX_BODY, DigestsAnswer
from pairsim.replication.service import ReplicaPort
from pairsim.server.commands.gateway import HOLD_SECONDS, Gateway
from pairsim.server.commands.handler import CommandHandler
from pairsim.server.commands.session import Sessions
from pairsim.server.control.assignment import Assigning, Control
from pairsim.server.control.probes import Probes
from pairsim.server.control.watch import Watch, replica_key
from pairsim.server.http.auth import guarded
from pairsim.server.http.errors import HttpError, answer_errors
from pairsim.server.http.misdirected import only_own_area, only_this_process
from pairsim.server.http.notifications import Hub
from pairsim.server.http.requests import Blocking, integer, takes
from pairsim.server.metrics.collector import MeterCollector
from pairsim.server.metrics.registry import Metrics
from pairsim.server.reads.backup import BackupHandler
from pairsim.server.reads.entities import EntityHandlers
from pairsim.server.reads.observe import Observers

MAX_DIGESTS = 10_000
_RECENT_DIGESTS = 100


class SimulatorApi:
    """One process's API. Make it inside the event loop that serves it."""

    def __init__(self, port: ReplicaPort, *, name: str, token: str, limit: int, hold: float = HOLD_SECONDS) -> None:
        """Serves the port.

        Args:
            port: The replica.
            name: The process's name.
            token: Opens the control paths.
            limit: Commands that may be under way at once.
            hold: Seconds that commands wait for an active.
        """
        self._port, self._token = port, token
        self._hub = Hub()
        self._control_threads = Blocking("control", threads=1, waiting=64)
        self._read_threads = Blocking("read", threads=2, waiting=256)
        self._metrics = Metrics(port.status)
        self._gateway = Gateway(port, self._hub, self._metrics, name=name, token=token, limit=limit, hold=hold)
        self._sessions = Sessions(port, self._gateway, token)
        self._observers = Observers(port, self._hub, self._read_threads)
        self._watch = Watch(port.status, replica_key, self._hub.changes, token)
        self.probes = Probes(port.status)
        self._command_schema = port.command_schema()
        self._closing: set[asyncio.Future[tuple[None, None]]] = set()

    def app(self) -> web.Application:
        """The application; its background work starts and ends with it."""
        middlewares = [answer_errors, only_this_process(self._port), only_own_area(self._port)]
        app = web.Application(middlewares=middlewares, client_max_size=MAX_BODY)
        control = Control(self._port, self._control_threads)
        assigning = Assigning(self._port, self._control_threads)
        commands = CommandHandler(self._port, self._gateway)
        entities = EntityHandlers(self._port, self._read_threads)
        backup = BackupHandler(self._port, self._read_threads)
        app.add_routes(
            [
                web.get("/v1/status", self._status),
                web.post("/v1/commands", commands.handle),
                web.get("/v1/session", self._sessions.handle),
                web.get("/v1/entities", entities.many),
                web.get("/v1/entities/{id}", entities.one),
                web.get("/v1/digests", self._digests),
                web.get("/v1/backup", guarded(self._token, backup.handle)),
                web.get("/v1/observe", self._observers.handle),
                web.get("/v1/watch", self._watch.handle),
                web.post("/v1/switchover", guarded(self._token, control.switchover)),
                web.put("/v1/authority", guarded(self._token, control.authorise)),
                web.put("/v1/assignment", guarded(self._token, assigning.assign)),
                web.delete("/v1/assignment", guarded(self._token, assigning.release)),
                web.post("/v1/leave", guarded(self._token, assigning.leave)),
                web.get("/metrics", self._metrics.handle),
                *self.probes.routes(),
            ]
        )
        sockets = {
            "observers": self._observers.sockets,
            "sessions": self._sessions.sockets,
            "watchers": self._watch.sockets,
        }
        self._metrics.watch(sockets)
        self._metrics.registry.register(MeterCollector(self._port.meters))
        app.cleanup_ctx.append(self._live)
        app.on_shutdown.append(self._goodbye)
        return app

    async def _live(self, _app: web.Application) -> AsyncIterator[None]:
        unwatch = self._port.watch(self._hub.listener())
        self._hub.changes.listeners.append(self._follow_area)
        yield
        unwatch()
        self._hub.changes.listeners.remove(self._follow_area)
        await self._gateway.close()
        self._control_threads.close()
        self._read_threads.close()

    def _follow_area(self) -> None:
        """Another area, other clients: whoever was served before must come again, and say what it wants."""
        command_schema = self._port.command_schema()
        if command_schema is not self._command_schema:
            had, self._command_schema = self._command_schema, command_schema
            if had is not None:
                closing = asyncio.gather(self._sessions.sockets.close(), self._observers.sockets.close())
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard)

    async def _goodbye(self, _app: web.Application) -> None:
        await self._sessions.close()
        await asyncio.gather(self._observers.sockets.close(), self._watch.sockets.close())

    async def _status(self, _request: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(self._port.status()), content_type="application/json")

    async def _digests(self, request: web.Request) -> web.Response:
        takes(request, "from", "to")
        last = integer(request, "to", self._port.status().tick)
        first = integer(request, "from", max(last - _RECENT_DIGESTS + 1, 0))
        if first > last or last - first >= MAX_DIGESTS:
            raise HttpError(400, f"from must not be above to, and at most {MAX_DIGESTS:,} ticks are told at once")
        digests = {str(tick): digest for tick, digest in self._port.digests(first, last).items()}
        return web.Response(body=msgspec.json.encode(DigestsAnswer(digests)), content_type="application/json")
