"""Connections of the server: bounded in number, so that there are always files left for journals and peers.

A connection that says nothing is closed, and one that is over the limit at once: whoever opens thousands and leaves
them open must not keep the others out for long, and must not bring the process down.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler, Middleware

log = structlog.get_logger()

MAX_CONNECTIONS = 4_096
SILENCE_SECONDS = 10.0
"""How long a connection may take for its first request."""

IDLE_SECONDS = 30.0
"""How long it may be idle between requests."""

DRAIN_SECONDS = 3.0
"""What requests under way have at the end."""

_RESERVED_FILES = 256
_BACKLOG = 512


def room() -> int:
    """How many connections may be open, after the limit of open files was raised to what the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + _RESERVED_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else max(16, min(MAX_CONNECTIONS, soft - _RESERVED_FILES))


class _TurnedAway(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class _Doorkeeper:
    """Makes a protocol for every connection, or turns it away."""

    def __init__(self, runner: web.AppRunner, limit: int, silence: float) -> None:
        self._runner, self._limit, self._silence = runner, limit, silence
        self._silent: set[web.RequestHandler] = set()
        self._full = False

    def __call__(self) -> asyncio.BaseProtocol:
        server = self._runner.server
        if server is None or len(server.connections) >= self._limit:
            if not self._full:
                log.warning("connections are turned away: as many as may be are open", limit=self._limit)
            self._full = True
            return _TurnedAway()
        self._full = False
        protocol = server()
        self._silent.add(protocol)
        asyncio.get_running_loop().call_later(self._silence, self._expect, protocol)
        return protocol

    def middleware(self) -> Middleware:
        """Notes who has said something."""

        @web.middleware
        async def heard(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._silent.discard(request.protocol)
            return await handler(request)

        return heard

    def _expect(self, protocol: web.RequestHandler) -> None:
        if protocol in self._silent:
            self._silent.discard(protocol)
            if protocol.transport is not None:
                protocol.transport.close()


@asynccontextmanager
async def listening(
    app: web.Application,
    address: str,
    *,
    drain: float = DRAIN_SECONDS,
    limit: int | None = None,
    silence: float = SILENCE_SECONDS,
    idle: float = IDLE_SECONDS,
) -> AsyncIterator[int]:
    """Serves an application at host:port while the context is open; yields the port.

    Args:
        app: Not started yet.
        address: Where.
        drain: Seconds that requests under way have at the end.
        limit: Connections; as many as the system has files for by default.
        silence: Seconds that a connection has for its first request.
        idle: Seconds that it may be idle between requests.

    Raises:
        OSError: The address cannot be listened at.
    """
    host, _, port = address.rpartition(":")
    logging.getLogger("aiohttp.server").addFilter(_no_client_mistakes)
    runner = web.AppRunner(app, access_log=None, auto_decompress=False, shutdown_timeout=drain, keepalive_timeout=idle)
    doorkeeper = _Doorkeeper(runner, room() if limit is None else limit, silence)
    app.middlewares.insert(0, doorkeeper.middleware())
    await runner.setup()
    try:
        server = await asyncio.get_running_loop().create_server(
            doorkeeper, host.strip("[]"), int(port), backlog=_BACKLOG
        )
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
    finally:
        await runner.cleanup()


def _no_client_mistakes(record: logging.LogRecord) -> bool:
    """What a client sent that is no HTTP was answered, and is no error of the server's."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))
