"""Connections of a server: bounded in number, so that files are always left for journals and peers.

A connection over the limit is answered 503, and a connection that sends no request is closed after a while. So a
client that opens thousands of connections and leaves them open cannot keep other clients out for long, and cannot bring
the process down.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler, Middleware

from pairsim.addresses import format_address, parse_address
from pairsim.server.http.origins import AccessRules, add_origin_check
from pairsim.server.http.rejection import RejectedConnection
from pairsim.system.listening import listen
from pairsim.system.open_files import raise_file_limit

log = structlog.get_logger()

MAX_CONNECTIONS = 4_096
SILENCE_SECONDS = 10.0
"""How long a connection may take until its first request."""

IDLE_SECONDS = 30.0
"""How long a connection may be idle between requests."""

DRAIN_SECONDS = 3.0
"""How long requests that are under way may take after the server began to stop."""

_RESERVED_FILES = 256
"""Files for journals, peers, and connections that wait for their rejection."""

_MIN_LINGERING, _MAX_LINGERING = 8, 64
"""The fewest and the most rejected connections that may be open; in between, a quarter of the limit."""

_ROOM_CHECK_SECONDS = 0.05
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_EXHAUSTED_SECONDS = 0.5
"""How long no connection is accepted after the system has refused one for lack of resources."""

_BACKLOG = 512


def connection_limit(files: int) -> int:
    """Returns how many connections may be open if `files` files may be open; a quarter of a low limit."""
    return max(1, min(MAX_CONNECTIONS, max(files - _RESERVED_FILES, files // 4)))


def _limit_of_system() -> int:
    """Raises the limit of open files, and returns how many connections may be open."""
    files = raise_file_limit()
    limit = connection_limit(files)
    if limit < MAX_CONNECTIONS:
        log.warning(
            "few files may be open, so fewer connections are accepted: raise the hard limit (ulimit -Hn)",
            files=files,
            connections=limit,
            full=MAX_CONNECTIONS,
        )
    return limit


class _ConnectionLimiter:
    """Accepts connections, and rejects those over the limit.

    A connection waits to be accepted while many rejected ones are open, so that these cannot exhaust the open files.
    """

    def __init__(self, runner: web.AppRunner, limit: int, silence: float) -> None:
        self._runner, self._limit, self._silence = runner, limit, silence
        self._silent: dict[web.RequestHandler, asyncio.TimerHandle] = {}
        self._lingering: set[RejectedConnection] = set()
        self._max_lingering = max(_MIN_LINGERING, min(_MAX_LINGERING, limit // 4))
        self._has_room = asyncio.Event()
        self._is_full = False

    async def accept(self, listener: socket.socket) -> None:
        """Accepts connections until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wait_for_room()
            try:
                connection, _peer = await loop.sock_accept(listener)
            except OSError as error:  # no file is left, or the peer has gone
                if error.errno in _EXHAUSTED:
                    log.warning("a connection waits", reason=error.strerror)
                    await asyncio.sleep(_EXHAUSTED_SECONDS)
                continue
            try:
                await loop.connect_accepted_socket(self._make_protocol, connection)
            except OSError:
                connection.close()

    async def _wait_for_room(self) -> None:
        while self._over_limit() and len(self._lingering) >= self._max_lingering:
            self._has_room.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_ROOM_CHECK_SECONDS):
                    await self._has_room.wait()

    def _over_limit(self) -> bool:
        server = self._runner.server
        return server is None or len(server.connections) >= self._limit

    def _make_protocol(self) -> asyncio.BaseProtocol:
        server = self._runner.server
        if server is None or self._over_limit():
            if not self._is_full:
                log.warning("connection limit reached", limit=self._limit)
            self._is_full = True
            return RejectedConnection(self._lingering, self._has_room)
        self._is_full = False
        protocol = server()
        loop = asyncio.get_running_loop()
        self._silent[protocol] = loop.call_later(self._silence, self._close_if_silent, protocol)
        return protocol

    def close(self) -> None:
        """Closes the rejected connections that are still open."""
        for rejection in list(self._lingering):
            rejection.close()

    def middleware(self) -> Middleware:
        """Returns a middleware that notes which connections have sent a request."""

        @web.middleware
        async def note(request: web.Request, handler: Handler) -> web.StreamResponse:
            timer = self._silent.pop(request.protocol, None)
            if timer is not None:
                timer.cancel()  # it would keep all objects of a connection that ends soon
            return await handler(request)

        return note

    def _close_if_silent(self, protocol: web.RequestHandler) -> None:
        if self._silent.pop(protocol, None) is not None and protocol.transport is not None:
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
    limiter = _ConnectionLimiter(runner, _limit_of_system() if limit is None else limit, silence)
    add_origin_check(app, access or AccessRules.of_listener(format_address(host, port)))
    app.middlewares.insert(0, limiter.middleware())
    await runner.setup()
    try:
        with listen(host, port, backlog=_BACKLOG) as listener:
            listener.setblocking(False)
            accepting = asyncio.create_task(limiter.accept(listener), name="accept")
            try:
                yield listener.getsockname()[1]
            finally:
                accepting.cancel()
                await asyncio.gather(accepting, return_exceptions=True)
                limiter.close()
    finally:
        await runner.cleanup()


def _is_not_client_mistake(record: logging.LogRecord) -> bool:
    """Keeps aiohttp from logging malformed HTTP as an error of the server: the client got its 400 already."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))
