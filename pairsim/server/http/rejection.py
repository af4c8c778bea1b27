"""Connections over the limit: each one is answered 503, without a part of the server that could be exhausted.

The answer waits for the request, since many clients take an answer that comes before it for a broken connection. With a
body on its way the connection stays until the client closes it, for a while at most: a server that closes with a body
unread sends a reset, which may overtake the answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from http import HTTPStatus

import msgspec

from pairsim.protocol.frames import Failure
from pairsim.server.http.errors import RETRY_AFTER_SECONDS

LINGER_SECONDS = 1.0
"""How long a rejected connection may take to send its request and to close."""

_MAX_HEAD_BYTES = 16_384
_END_OF_HEAD = b"\r\n\r\n"
_BODY_FOLLOWS = re.compile(rb"\r\n(content-length|transfer-encoding|expect):", re.IGNORECASE)
_BODY = msgspec.json.encode(Failure("too many connections are open: try again"))
_ANSWER = (
    f"HTTP/1.1 {HTTPStatus.SERVICE_UNAVAILABLE} Service Unavailable\r\n"
    f"Content-Type: application/json; charset=utf-8\r\nContent-Length: {len(_BODY)}\r\n"
    f"Retry-After: {RETRY_AFTER_SECONDS}\r\nConnection: close\r\n\r\n"
).encode() + _BODY


class RejectedConnection(asyncio.Protocol):
    """The protocol of a connection that is answered 503 and closed."""

    def __init__(self, lingering: set[RejectedConnection], closed: asyncio.Event) -> None:
        """`lingering` holds the protocol while its connection is open; `closed` is set after that."""
        self._lingering, self._closed = lingering, closed
        self._head = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Starts to wait for the request."""
        assert isinstance(transport, asyncio.WriteTransport)  # noqa: S101 - a stream transport
        self._transport = transport
        self._lingering.add(self)
        asyncio.get_running_loop().call_later(LINGER_SECONDS, self.close)

    def data_received(self, data: bytes) -> None:
        """Answers at the end of the request's head; later bytes are dropped."""
        if self._transport is None or self._head.endswith(_END_OF_HEAD):
            return
        self._head = (self._head + data)[: _MAX_HEAD_BYTES + 1]
        if _END_OF_HEAD not in self._head and len(self._head) <= _MAX_HEAD_BYTES:
            return
        has_body = not self._head.endswith(_END_OF_HEAD) or _BODY_FOLLOWS.search(self._head) is not None
        self._head = _END_OF_HEAD
        self._transport.write(_ANSWER)
        if not has_body:
            self._transport.close()
            return
        with contextlib.suppress(OSError):
            self._transport.write_eof()

    def close(self) -> None:
        """Closes the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Makes room for another rejected connection."""
        self._lingering.discard(self)
        self._closed.set()
