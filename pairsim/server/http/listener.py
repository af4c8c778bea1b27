"""Connections of a server: bounded in number, so that files are always left for journals and peers.

A connection over the limit is closed at once, and a connection that sends no request is closed after a while. So a
client that opens thousands of connections and leaves them open cannot keep other clients out for long, and cannot bring
the process down.
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

from pairsim.addresses import format_address, parse_address
from pairsim.server.http.origins import AccessRules, add_origin_check
from pairsim.system.listening import listen

log = structlog.get_logger()

MAX_CONNECTIONS = 4_096
SILENCE_SECONDS = 10.0
"""How long a connection may take until its first request."""

IDLE_SECONDS = 30.0
"""How long a connection may be idle between requests."""

DRAIN_SECONDS = 3.0
"""How long requests that are under way may take after the server began to stop."""

_RESERVED_FILES = 256
_BACKLOG = 512


def connection_limit() -> int:
    """Raises the limit of open files as far as the system allows, and returns how many connections may be open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + _RESERVED_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else max(16, min(MAX_CONNECTIONS, soft - _RESERVED_FILES))


class _Rejected(asyncio.Protocol):
    """The protocol of a connection that is closed at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class _ConnectionLimiter:
    """Makes the protocol of every connection, and rejects connections over the limit."""

    def __init__(self, runner: web.AppRunner, limit: int, silence: float) -> None:
        self._runner, self._limit, self._silence = runner, limit, silence
        self._silent: set[web.RequestHandler] = set()
        self._is_full = False

    def __call__(self) -> asyncio.BaseProtocol:
        server = self._runner.server
        if server is None or len(server.connections) >= self._limit:
            if not self._is_full:
                log.warning("connection limit reached", limit=self._limit)
            self._is_full = True
            return _Rejected()
        self._is_full = False
        protocol = server()
        self._silent.add(protocol)
        asyncio.get_running_loop().call_later(self._silence, self._close_if_silent, protocol)
        return protocol

    def middleware(self) -> Middleware:
        """Returns a middleware that notes which connections have sent a request."""

        @web.middleware
        async def note(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._silent.discard(request.protocol)
            return await handler(request)

        return note

    def _close_if_silent(self, protocol: web.RequestHandler) -> None:
        if protocol in self._silent:
            self._silent.discard(protocol)
            if protocol.transport is not None:
                protocol.transport.close()


@asynccontextmanager
async def serve_app(
    app: web.Application,
    address: str,
    *,
    drain: float = DRAIN_SECONDS,
    limit: int | None = None,
    silence: float = SILENCE_SECONDS,
    idle: float = IDLE_SECONDS,
    access: AccessRules | None = None,
) -> AsyncIterator[int]:
    """Serves an application at an address while the context is open; yields the port number.

    No server is open to the web pages of other origins: `pairsim.server.http.origins` has the rules.

    Args:
        app: An application that was not started yet.
        address: `host:port`; with port 0 the system chooses a free one. The host `[::]`, or no host, means every
            address of the machine, IPv4 and IPv6.
        drain: Seconds that requests under way may take when the context ends.
        limit: How many connections may be open; by default as many as the system has files for.
        silence: Seconds that a connection has for its first request.
        idle: Seconds that a connection may be idle between requests.
        access: The host names and origins that are admitted; by default those that follow from the address.

    Raises:
        AddressError: The address does not have this form.
        OSError: The server cannot listen at the address.
    """
    host, port = parse_address(f"[::]{address}" if address.startswith(":") else address)
    logging.getLogger("aiohttp.server").addFilter(_is_not_client_mistake)
    runner = web.AppRunner(app, access_log=None, auto_decompress=False, shutdown_timeout=drain, keepalive_timeout=idle)
    limiter = _ConnectionLimiter(runner, connection_limit() if limit is None else limit, silence)
    add_origin_check(app, access or AccessRules.of_listener(format_address(host, port)))
    app.middlewares.insert(0, limiter.middleware())
    await runner.setup()
    try:
        loop, listener = asyncio.get_running_loop(), listen(host, port, backlog=_BACKLOG)
        server = await loop.create_server(limiter, sock=listener, backlog=_BACKLOG)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
    finally:
        await runner.cleanup()


def _is_not_client_mistake(record: logging.LogRecord) -> bool:
    """Keeps aiohttp from logging malformed HTTP as an error of the server: the client got its 400 already."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))
