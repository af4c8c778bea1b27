"""WebSockets of a server: bounded in number, in frame size, and in how long a peer may leave its frames unread.

`WebSockets` counts the open sockets of one kind, serves each of them and closes all of them at the end. The functions
send, push and close for one socket; each of them is bounded in time.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine

from aiohttp import WSCloseCode, web

from pairsim.server.http.errors import RETRY_AFTER_SECONDS, HttpError
from pairsim.wording import duration

SEND_SECONDS = 5.0
"""A peer that does not read for that long is disconnected."""

_CLOSE_SECONDS = 1.0
_MAX_REASON = 120
"""Bytes; a close frame has room for 123 (RFC 6455, section 5.5)."""


class TooSlowError(Exception):
    """The peer does not read the frames that it is sent."""


class WebSockets:
    """All open WebSockets of one kind, `len()` of them."""

    def __init__(
        self,
        what: str,
        limit: int,
        *,
        idle: float | None = None,
        retry_after: int = RETRY_AFTER_SECONDS,
        compress: bool = False,
        slow_code: WSCloseCode = WSCloseCode.POLICY_VIOLATION,
    ) -> None:
        """Creates an empty collection.

        Args:
            what: What the sockets are, in the plural, for sentences: `observers`.
            limit: How many may be open at once.
            idle: When the limit is reached, a socket that was not used for that many seconds is closed for a new one;
                None if no socket is ever closed for another one.
            retry_after: Seconds after which a client that was refused may try again.
            compress: Whether frames are compressed for a peer that supports it. Compression costs more time than it
                saves on a fast network, and needs a lock around concurrent sends.
            slow_code: The code of the close frame for a peer that does not read.
        """
        self._what = what
        self._limit, self._idle, self._retry_after = limit, idle, retry_after
        self._compress, self._slow_code = compress, slow_code
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
        """Upgrades a request to a WebSocket, does the work, and closes the socket.

        Args:
            request: Asks for the upgrade.
            work: Uses the socket; when it returns, the socket is closed.
            max_frame: Bytes of the largest frame that the peer may send.
            heartbeat: Seconds between pings; a peer that does not answer them is disconnected.
            always: Whether the socket is accepted although the limit is reached.

        Raises:
            HttpError: 426 for a plain request, 503 when too many sockets are open.
        """
        socket = web.WebSocketResponse(
            max_msg_size=max_frame, heartbeat=heartbeat, timeout=_CLOSE_SECONDS, compress=self._compress
        )
        if not socket.can_prepare(request).ok:
            raise HttpError(426, f"{request.path} is a WebSocket")
        if len(self._open) >= self._limit and not always and not await self._close_idle():
            sentence = f"{self._limit} {self._what} are open and no more may be: close one"
            raise HttpError(503, sentence, retry_after=self._retry_after)
        self.mark_used(socket)
        try:
            await socket.prepare(request)
            await work(socket)
        except TooSlowError as error:
            await disconnect_slow(socket, request, str(error), self._slow_code)
        except ConnectionError:  # the peer has disconnected: nothing is left to serve
            if not socket.prepared:
                return web.Response(status=503)  # aiohttp cannot end a socket that never opened
        finally:
            self._open.pop(socket, None)
            if socket.prepared:
                await close(socket, WSCloseCode.OK, "")
            broken = socket.exception()
            if broken is not None:
                broken.__traceback__ = None  # its frames refer to the socket, and garbage is rarely collected
        return socket

    def mark_used(self, socket: web.WebSocketResponse) -> None:
        """Notes that the socket is in use now, so that it is not closed as idle."""
        self._open[socket] = asyncio.get_running_loop().time()

    async def _close_idle(self) -> bool:
        """Closes the socket that was idle for the longest, if that is long enough; returns whether it did."""
        if self._idle is None:
            return False
        socket, used = min(self._open.items(), key=lambda item: item[1])
        if asyncio.get_running_loop().time() - used < self._idle:
            return False
        del self._open[socket]
        await close(
            socket, WSCloseCode.TRY_AGAIN_LATER, f"nothing was sent for {duration(self._idle)}, and room is needed"
        )
        return True

    async def close(self) -> None:
        """Closes all sockets with the code "going away"; used when the process ends."""
        closing = [close(s, WSCloseCode.GOING_AWAY, "this process stops") for s in list(self._open)]
        await asyncio.gather(*closing)


async def close(socket: web.WebSocketResponse, code: int, reason: str) -> None:
    """Closes the socket with a code and a reason, if it is still open; bounded in time."""
    if socket.closed:
        return
    with contextlib.suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(2 * _CLOSE_SECONDS):
            await socket.close(code=code, message=reason.encode()[:_MAX_REASON])


async def disconnect_slow(
    socket: web.WebSocketResponse,
    request: web.Request,
    reason: str,
    code: WSCloseCode = WSCloseCode.POLICY_VIOLATION,
) -> None:
    """Disconnects a peer that does not read.

    The peer gets the reason if it reads within a second. After that its connection is aborted, so that no unread
    frames are kept for it.
    """
    transport = request.transport
    if transport is not None:
        asyncio.get_running_loop().call_later(_CLOSE_SECONDS, transport.abort)
    await close(socket, code, reason)


async def send(socket: web.WebSocketResponse, data: bytes | str, seconds: float = SEND_SECONDS) -> None:
    """Sends a frame: bytes as a binary frame, a string as a text frame.

    Raises:
        TooSlowError: The peer has not read for `seconds`.
        ConnectionError: The peer has disconnected.
    """
    # In a task of its own: all that wait for a peer to read share one future inside aiohttp, and cancelling one of
    # them would cancel them all. The task ends with the connection.
    sending = asyncio.ensure_future(socket.send_str(data) if isinstance(data, str) else socket.send_bytes(data))
    sending.add_done_callback(_retrieve_exception)
    await asyncio.wait((sending,), timeout=seconds)
    if not sending.done():
        raise TooSlowError(f"nothing was read for {duration(seconds)}")
    sending.result()


async def run_pusher(socket: web.WebSocketResponse, pusher: Coroutine[None, None, None]) -> None:
    """Runs a coroutine that only sends, until it ends or the peer disconnects.

    The socket is read meanwhile, because aiohttp handles pings, pongs and the closing only while it reads. Messages of
    the peer are ignored.

    Raises:
        Exception: What the coroutine raised, `TooSlowError` for example.
    """
    tasks = asyncio.ensure_future(pusher), asyncio.ensure_future(_drain(socket))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        _, outcome = await asyncio.gather(*reversed(tasks), return_exceptions=True)
    if isinstance(outcome, Exception):
        raise outcome


def _retrieve_exception(sending: asyncio.Task[None]) -> None:
    if not sending.cancelled():
        sending.exception()


async def _drain(socket: web.WebSocketResponse) -> None:
    async for _message in socket:
        pass
