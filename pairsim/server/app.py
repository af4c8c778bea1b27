"""The HTTP API of a simulator process: its routes, and the background work that lives as long as the application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
from aiohttp import web

from pairsim.protocol.frames import MAX_BODY, DigestsAnswer
from pairsim.replication.service import ReplicaService
from pairsim.server.commands.gateway import HOLD_SECONDS, Gateway
from pairsim.server.commands.handler import CommandHandler
from pairsim.server.commands.session import Sessions
from pairsim.server.control.assignment import AssignmentHandlers, ControlHandlers
from pairsim.server.control.probes import ProbeHandlers
from pairsim.server.control.watch import WatchHandler
from pairsim.server.errors import to_http_error
from pairsim.server.http.auth import guarded
from pairsim.server.http.errors import HttpError, answer_errors
from pairsim.server.http.misdirected import require_area, require_process
from pairsim.server.http.requests import BoundedExecutor, query_int, reject_unknown_query
from pairsim.server.metrics.collector import MeasurementCollector
from pairsim.server.metrics.registry import ReplicaMetrics
from pairsim.server.notifications import NotificationHub
from pairsim.server.reads.backup import BackupHandler
from pairsim.server.reads.entities import EntityHandlers
from pairsim.server.reads.locate import LocateHandler
from pairsim.server.reads.observe import Observers

MAX_DIGESTS = 10_000
_RECENT_DIGESTS = 100


class SimulatorApi:
    """The HTTP API of one simulator process. Create it inside the event loop that serves it.

    Attributes:
        probes: The handlers of Kubernetes's probes; set `probes.stopping` when the process begins to stop.
    """

    def __init__(
        self, service: ReplicaService, *, name: str, token: str, limit: int, hold: float = HOLD_SECONDS
    ) -> None:
        """Creates the handlers; nothing runs yet.

        Args:
            service: The replica.
            name: The process's name.
            token: The bearer token that opens the control paths.
            limit: How many commands may be under way at once.
            hold: Seconds that commands wait for an active.
        """
        self._service, self._token = service, token
        self._hub = NotificationHub()
        self._control_threads = BoundedExecutor("control", threads=1, waiting=64)
        self._grant_threads = BoundedExecutor("grant", threads=1, waiting=8)
        self._read_threads = BoundedExecutor("read", threads=2, waiting=256)
        self._metrics = ReplicaMetrics(service.status)
        self._gateway = Gateway(service, self._hub, self._metrics, name=name, token=token, limit=limit, hold=hold)
        self._sessions = Sessions(service, self._gateway, token)
        self._observers = Observers(service, self._hub, self._read_threads)
        self._watch = WatchHandler(service.status, self._hub.changes, token)
        self.probes = ProbeHandlers(service.status)
        self._command_schema = service.command_schema()
        self._closing: set[asyncio.Future[tuple[None, None]]] = set()

    def app(self) -> web.Application:
        """Returns the application; its background work starts and ends with it."""
        service = self._service
        middlewares = [
            answer_errors(to_http_error),
            require_process(lambda: service.status().replica),
            require_area(service.status),
        ]
        app = web.Application(middlewares=middlewares, client_max_size=MAX_BODY)
        control = ControlHandlers(service, self._control_threads, self._grant_threads)
        assignment = AssignmentHandlers(service, self._control_threads)
        commands = CommandHandler(service, self._gateway)
        entities = EntityHandlers(service, self._read_threads)
        backup = BackupHandler(service, self._read_threads)
        locate = LocateHandler(service, self._read_threads)
        app.add_routes(
            [
                web.get("/v1/status", self._status),
                web.post("/v1/commands", commands.handle),
                web.get("/v1/session", self._sessions.handle),
                web.get("/v1/entities", entities.many),
                web.get("/v1/entities/{id}", entities.one),
                web.get("/v1/locate/{entity}", locate.handle),
                web.get("/v1/digests", self._digests),
                web.get("/v1/map", self._map),
                web.get("/v1/backup", guarded(self._token, backup.handle)),
                web.get("/v1/observe", self._observers.handle),
                web.get("/v1/watch", self._watch.handle),
                web.post("/v1/switchover", guarded(self._token, control.switchover)),
                web.get("/v1/skip", guarded(self._token, control.failing_tick)),
                web.post("/v1/skip", guarded(self._token, control.skip)),
                web.post("/v1/engines/restart", guarded(self._token, control.restart_engines)),
                web.put("/v1/authority", guarded(self._token, control.authorise)),
                web.put("/v1/warm-engine", guarded(self._token, control.warm_engine)),
                web.put("/v1/assignment", guarded(self._token, assignment.assign)),
                web.delete("/v1/assignment", guarded(self._token, assignment.release)),
                web.post("/v1/leave", guarded(self._token, assignment.leave)),
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
        self._metrics.registry.register(MeasurementCollector(service.measurements))
        app.cleanup_ctx.append(self._lifespan)
        app.on_shutdown.append(self._on_shutdown)
        return app

    async def _lifespan(self, _app: web.Application) -> AsyncIterator[None]:
        unwatch = self._service.watch(self._hub.listener())
        self._hub.changes.listeners.append(self._on_area_change)
        yield
        unwatch()
        self._hub.changes.listeners.remove(self._on_area_change)
        await self._gateway.close()
        self._control_threads.close()
        self._grant_threads.close()
        self._read_threads.close()

    def _on_area_change(self) -> None:
        """Closes sessions and observers when the process gets another area: they were opened for the old one."""
        command_schema = self._service.command_schema()
        if command_schema is not self._command_schema:
            had, self._command_schema = self._command_schema, command_schema
            if had is not None:
                closing = asyncio.gather(self._sessions.sockets.close(), self._observers.sockets.close())
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard)

    async def _on_shutdown(self, _app: web.Application) -> None:
        await self._sessions.close()
        await asyncio.gather(self._observers.sockets.close(), self._watch.sockets.close())

    async def _status(self, _request: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(self._service.status()), content_type="application/json")

    async def _map(self, request: web.Request) -> web.Response:
        reject_unknown_query(request)
        return web.Response(body=msgspec.json.encode(self._service.authority()), content_type="application/json")

    async def _digests(self, request: web.Request) -> web.Response:
        reject_unknown_query(request, "from", "to")
        last = query_int(request, "to", self._service.status().tick)
        first = query_int(request, "from", max(last - _RECENT_DIGESTS + 1, 0))
        if first > last or last - first >= MAX_DIGESTS:
            raise HttpError(400, f"from must not be above to, and at most {MAX_DIGESTS:,} ticks are answered at once")
        digests = {str(tick): digest for tick, digest in self._service.digests(first, last).items()}
        return web.Response(body=msgspec.json.encode(DigestsAnswer(digests)), content_type="application/json")
