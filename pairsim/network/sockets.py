"""WebSockets of the server: bounded in number, in frame size, and in how long a peer may not read."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine

from aiohttp import WSCloseCode, web

from pairsim.network.problems import HttpError

SEND_SECONDS = 5.0
"""A peer that does not read for that long is dropped."""

_CLOSE_SECONDS = 1.0


class TooSlowError(Exception):
    """The peer does not read what it is sent."""


class Sockets:
    """All open WebSockets of one kind."""

    def __init__(self, what: str, limit: int) -> None:
        self._what = what
        self._limit = limit
        self._open: set[web.WebSocketResponse] = set()
        self._opening = 0

    def __len__(self) -> int:
        return len(self._open)

    async def serve(
        self,
        request: web.Request,
        work: Callable[[web.WebSocketResponse], Awaitable[None]],
        *,
        max_frame: int,
        heartbeat: float | None = None,
    ) -> web.StreamResponse:
        """Upgrades the request, does the work, closes the socket.

        Raises:
            HttpError: 426 for a plain request, 503 when too many are open.
        """
        # Compression costs more time than it saves here, and needs a lock around concurrent sends.
        socket = web.WebSocketResponse(
            max_msg_size=max_frame, heartbeat=heartbeat, timeout=_CLOSE_SECONDS, compress=False
        )
        if not socket.can_prepare(request).ok:
            raise HttpError(426, f"{request.path} is a WebSocket")
        if len(self._open) >= self._limit:
            raise HttpError(503, f"{self._limit} {self._what} are open and no more may be: close one")
        self._open.add(socket)
        try:
            await socket.prepare(request)
            await work(socket)
        except TooSlowError as error:
            await finish(socket, WSCloseCode.POLICY_VIOLATION, str(error))
            if request.transport is not None:
                request.transport.abort()  # what it did not read would be kept for it
        except ConnectionError:
            pass  # the peer is gone, and so is the reason to serve it
        finally:
            self._open.discard(socket)
            if socket.prepared:
                await finish(socket, WSCloseCode.OK, "")
        return socket

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


async def send(socket: web.WebSocketResponse, data: bytes | str, seconds: float = SEND_SECONDS) -> None:
    """Sends a frame.

    Raises:
        TooSlowError: The peer has not read for `seconds`.
        ConnectionError: The peer is gone.
    """
    try:
        async with asyncio.timeout(seconds):
            if isinstance(data, str):
                await socket.send_str(data)
            else:
                await socket.send_bytes(data)
    except TimeoutError:
        raise TooSlowError(f"nothing was read for {seconds:g} s") from None


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


async def _drain(socket: web.WebSocketResponse) -> None:
    async for _message in socket:
        pass
