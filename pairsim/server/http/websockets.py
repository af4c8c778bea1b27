"""WebSockets of the server: bounded in number, in frame size, and in how long a peer may not read."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine

from aiohttp import WSCloseCode, web

from pairsim.server.http.errors import HttpError

SEND_SECONDS = 5.0
"""A peer that does not read for that long is dropped."""

_CLOSE_SECONDS = 1.0


class TooSlowError(Exception):
    """The peer does not read what it is sent."""


class Sockets:
    """All open WebSockets of one kind."""

    def __init__(self, what: str, limit: int, *, idle: float | None = None) -> None:
        """At most `limit`; when there is need of room, one that was not used for `idle` seconds makes it."""
        self._what = what
        self._limit, self._idle = limit, idle
        self._open: dict[web.WebSocketResponse, float] = {}

    def __len__(self) -> int:
        return len(self._open)

    async def serve(
        self,
        request: web.Request,
        work: Callable[[web.WebSocketResponse], Awaitable[None]],
        *,
        max_frame: int,
        heartbeat: float | None = None,
        always: bool = False,
    ) -> web.StreamResponse:
        """Upgrades the request, does the work, closes the socket; `always` is for those whom no limit keeps out.

        Raises:
            HttpError: 426 for a plain request, 503 when too many are open.
        """
        # Compression costs more time than it saves here, and needs a lock around concurrent sends.
        socket = web.WebSocketResponse(
            max_msg_size=max_frame, heartbeat=heartbeat, timeout=_CLOSE_SECONDS, compress=False
        )
        if not socket.can_prepare(request).ok:
            raise HttpError(426, f"{request.path} is a WebSocket")
        if len(self._open) >= self._limit and not always and not await self._make_room():
            raise HttpError(503, f"{self._limit} {self._what} are open and no more may be: close one")
        self.used(socket)
        try:
            await socket.prepare(request)
            await work(socket)
        except TooSlowError as error:
            await expel(socket, request, str(error))
        except ConnectionError:  # the peer is gone, and so is the reason to serve it
            if not socket.prepared:
                return web.Response(status=503)  # aiohttp cannot end a socket that never opened
        finally:
            self._open.pop(socket, None)
            if socket.prepared:
                await finish(socket, WSCloseCode.OK, "")
        return socket

    def used(self, socket: web.WebSocketResponse) -> None:
        """Its peer said something just now."""
        self._open[socket] = asyncio.get_running_loop().time()

    async def _make_room(self) -> bool:
        """Ends the socket that was idle for the longest, if that is long enough."""
        if self._idle is None:
            return False
        socket, used = min(self._open.items(), key=lambda item: item[1])
        if asyncio.get_running_loop().time() - used < self._idle:
            return False
        del self._open[socket]
        await finish(socket, WSCloseCode.TRY_AGAIN_LATER, f"nothing was sent for {self._idle:g} s, and room is needed")
        return True

    async def close(self) -> None:
        """Says goodbye to all: the process ends."""
        closing = [finish(s, WSCloseCode.GOING_AWAY, "this process stops") for s in list(self._open)]
        await asyncio.gather(*closing)


async def finish(socket: web.WebSocketResponse, code: int, reason: str) -> None:
    """Closes the socket with a code and a reason, if it is still open; bounded in time."""
    if socket.closed:
        return
    with contextlib.suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(2 * _CLOSE_SECONDS):
            await socket.close(code=code, message=reason.encode()[:120])


async def expel(socket: web.WebSocketResponse, request: web.Request, reason: str) -> None:
    """Ends the socket of a peer that does not read. It gets the reason if it reads at last; nothing is kept for it."""
    transport = request.transport
    if transport is not None:
        asyncio.get_running_loop().call_later(_CLOSE_SECONDS, transport.abort)
    await finish(socket, WSCloseCode.POLICY_VIOLATION, reason)


async def send(socket: web.WebSocketResponse, data: bytes | str, seconds: float = SEND_SECONDS) -> None:
    """Sends a frame.

    Raises:
        TooSlowError: The peer has not read for `seconds`.
        ConnectionError: The peer is gone.
    """
    # In a task of its own: all that wait for a peer to read share one future inside aiohttp, and cancelling one of
    # them would cancel them all. It ends with the connection.
    sending = asyncio.ensure_future(socket.send_str(data) if isinstance(data, str) else socket.send_bytes(data))
    sending.add_done_callback(_seen)
    await asyncio.wait((sending,), timeout=seconds)
    if not sending.done():
        raise TooSlowError(f"nothing was read for {seconds:g} s")
    sending.result()


async def push(socket: web.WebSocketResponse, pushing: Coroutine[None, None, None]) -> None:
    """Pushes until the peer goes or the pushing ends.

    Reading is what sees pings, pongs and the end; whatever else the peer says is ignored.
    """
    tasks = asyncio.ensure_future(pushing), asyncio.ensure_future(_drain(socket))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        _, outcome = await asyncio.gather(*reversed(tasks), return_exceptions=True)
    if isinstance(outcome, Exception):
        raise outcome


def _seen(sending: asyncio.Task[None]) -> None:
    if not sending.cancelled():
        sending.exception()


async def _drain(socket: web.WebSocketResponse) -> None:
    async for _message in socket:
        pass
