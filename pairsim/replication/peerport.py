"""The peer port: one TCP port per process, for Raft and the state stream of every area that it has.

Blocking sockets and short-lived threads around `channel.py`. A connection must finish its handshake within one
deadline; only so many may try at a time, and the rest are closed at once, so that strangers cannot exhaust the
process. Whoever cannot prove the secret learns nothing and reaches no handler.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable

import msgspec
import structlog

from pairsim.replication.channel import LENGTH, MAX_GREETING, Channel, ChannelError, Hello, Initiator, accept

log = structlog.get_logger()

MAX_PENDING = 64
STREAM_FRAME = 2**30
_encode = msgspec.msgpack.Encoder().encode
_PROOF = b"pairsim"
_BACKLOG = 128
_JOIN = 2.0


class PeerError(OSError):
    """The peer cannot be reached, or does not answer."""


class RefusedByPeerError(PeerError):
    """The peer knows the secret and does not want the connection.

    Attributes:
        reason: Why.
        detail: What it wants to be known instead; may be empty.
    """

    def __init__(self, reason: str, detail: bytes) -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


class RefusedError(Exception):
    """Raised by a handler to refuse a connection."""

    def __init__(self, reason: str, detail: bytes = b"") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


class _Answer(msgspec.Struct, frozen=True, array_like=True):
    accepted: bool
    reason: str = ""
    detail: bytes = b""


class Link:
    """An authenticated connection; blocking, unless the caller takes `sock` and `channel` apart."""

    def __init__(self, sock: socket.socket, channel: Channel) -> None:
        self.sock, self.channel = sock, channel

    def send(self, *parts: bytes | memoryview) -> None:
        """Sends one frame. Raises OSError."""
        self.sock.sendall(self.channel.seal(*parts))

    def receive(self, timeout: float) -> bytes:
        """The next frame. Raises OSError (TimeoutError after `timeout` seconds of silence) and ChannelError."""
        self.sock.settimeout(timeout)
        head = self._exactly(LENGTH)
        return self.channel.open(self._exactly(self.channel.length(head)))

    def _exactly(self, size: int) -> bytearray:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            got = self.sock.recv_into(view)
            if not got:
                raise PeerError("the peer closed the connection")
            view = view[got:]
        return data

    def close(self) -> None:
        """Ends it, also for a thread that waits in it."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


def split(address: str) -> tuple[str, int]:
    """host:port as socket wants it."""
    host, _colon, port = address.rpartition(":")
    return host, int(port)


def _tune(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


class _Deadline:
    """One time for several blocking calls on a socket."""

    def __init__(self, sock: socket.socket, seconds: float) -> None:
        self._sock, self._end = sock, time.monotonic() + seconds

    def exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            left = self._end - time.monotonic()
            if left <= 0:
                raise TimeoutError("the handshake takes too long")
            self._sock.settimeout(left)
            more = self._sock.recv(size - len(data))
            if not more:
                raise PeerError("the peer closed the connection in the handshake")
            data += more
        return data

    def message(self, limit: int) -> bytes:
        length = int.from_bytes(self.exactly(LENGTH), "little")
        if length > limit:
            raise ChannelError("whoever connected does not speak this protocol")
        return self.exactly(length)

    def frame(self, channel: Channel) -> bytes:
        return channel.open(self.exactly(channel.length(self.exactly(LENGTH))))


def _framed(data: bytes) -> bytes:
    return len(data).to_bytes(LENGTH, "little") + data


def dial(address: str, secret: bytes, hello: Hello, timeout: float) -> Link:
    """Connects and proves the secret, both ways, within `timeout` seconds.

    Raises:
        PeerError: Nobody is there, or it is not in time.
        RefusedByPeerError: The peer does not want it.
        ChannelError: Whoever is there does not know the secret.
    """
    sock = socket.create_connection(split(address), timeout)
    try:
        _tune(sock)
        deadline = _Deadline(sock, timeout)
        initiator = Initiator(secret, hello)
        sock.sendall(_framed(initiator.greeting))
        channel = initiator.channel(deadline.message(MAX_GREETING), STREAM_FRAME)
        sock.sendall(channel.seal(_PROOF))
        answer = msgspec.msgpack.decode(deadline.frame(channel), type=_Answer)
        if not answer.accepted:
            raise RefusedByPeerError(answer.reason, answer.detail)
        sock.settimeout(None)
    except BaseException:
        sock.close()
        raise
    return Link(sock, channel)


Taker = Callable[[Link], None]
Handler = Callable[[Hello], Taker]
"""Looks at what a connection is for and returns who takes it, or raises `RefusedError`."""


class PeerPort:
    """Listens, authenticates, and hands connections to whoever they are for."""

    def __init__(self, address: str, secret: bytes, timeout: float, max_pending: int = MAX_PENDING) -> None:
        """Binds at once; serves until `close`. A handshake may take `timeout` seconds."""
        self._secret, self._timeout = secret, timeout
        self._handlers: dict[str, Handler] = {}
        self._pending = threading.BoundedSemaphore(max_pending)
        host, port = split(address)
        self._listener = socket.create_server((host, port), backlog=_BACKLOG, reuse_port=False)
        self.address = f"{host}:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept_all, name="peer-port", daemon=True)
        self._thread.start()

    def register(self, kind: str, handler: Handler) -> None:
        """Connections of a kind are for `handler` to judge, and for its taker to own; in their own thread."""
        self._handlers[kind] = handler

    def close(self) -> None:
        """Stops listening."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(_JOIN)

    def _accept_all(self) -> None:
        while True:
            try:
                sock, _address = self._listener.accept()
            except OSError:
                if self._listener.fileno() < 0:
                    return
                time.sleep(0.01)  # out of file descriptors: others must end first
                continue
            if not self._pending.acquire(blocking=False):
                sock.close()
                continue
            threading.Thread(target=self._greet, args=(sock,), name="handshake", daemon=True).start()

    def _greet(self, sock: socket.socket) -> None:
        try:
            self._handshake(sock)
        except (OSError, ChannelError, msgspec.MsgspecError) as error:
            log.debug("a connection to the peer port failed", reason=str(error))
            sock.close()
        finally:
            self._pending.release()

    def _handshake(self, sock: socket.socket) -> None:
        _tune(sock)
        deadline = _Deadline(sock, self._timeout)
        hello, reply, channel = accept(self._secret, deadline.message(MAX_GREETING), STREAM_FRAME)
        sock.sendall(_framed(reply))
        if deadline.frame(channel) != _PROOF:
            raise ChannelError("the peer's proof is none")
        link = Link(sock, channel)
        handler = self._handlers.get(hello.kind)
        try:
            if handler is None:
                raise RefusedError(f"nothing of the kind {hello.kind!r} is served here")
            take = handler(hello)
        except RefusedError as refusal:
            link.send(_encode(_Answer(accepted=False, reason=refusal.reason, detail=refusal.detail)))
            link.close()
            return
        link.send(_encode(_Answer(accepted=True)))
        sock.settimeout(None)
        take(link)
