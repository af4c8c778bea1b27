"""The peer port: one TCP port per process, for Raft and the state stream of every area that it has.

Blocking sockets and short-lived threads around `channel.py`. Whoever cannot prove the secret learns nothing and
reaches no handler. A connection must finish its handshake within one deadline, and only so many may try at a time:
when another one comes, the one that has tried longest is closed, so that silent strangers keep nobody out.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import msgspec
import structlog

from pairsim.model.decode_errors import UNDECODABLE
from pairsim.replication.transport.channel import (
    LENGTH,
    MAX_FRAME,
    MAX_GREETING,
    SEGMENT,
    TAG,
    Channel,
    ChannelError,
    Hello,
    Initiator,
    accept,
)
from pairsim.replication.transport.dial import Deadline, PeerError, connect, split, tune

__all__ = ["Handler", "Link", "PeerError", "PeerPort", "RefusedByPeerError", "RefusedError", "Taker", "dial"]

log = structlog.get_logger()

MAX_PENDING = 32
STREAM_FRAME = 2**30
SEND_PATIENCE = 30.0
_MAX_HANDSHAKE_FRAME = 64 * 1024
_PROOF = b"pairsim"
_BACKLOG = 128
_JOIN = 2.0
_EXHAUSTED = 0.01


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
    """Raised by a handler to refuse a connection; reason and detail together below 64 KiB."""

    def __init__(self, reason: str, detail: bytes = b"") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


class _Answer(msgspec.Struct, frozen=True, array_like=True):
    accepted: bool
    reason: str = ""
    detail: bytes = b""


class Link:
    """An authenticated connection; blocking, unless the caller takes `sock` and `channel` apart.

    One thread may send and another receive.
    """

    def __init__(self, sock: socket.socket, channel: Channel) -> None:
        """Owns the socket."""
        self.sock, self.channel = sock, channel
        self._sealed = memoryview(bytearray(SEGMENT + TAG))

    def send(self, *parts: bytes | memoryview) -> None:
        """Sends one frame.

        Raises:
            OSError: The link is gone, or the peer takes nothing for so long: `SEND_PATIENCE`, or the `timeout` of
                the last `receive`. The link is of no use any more.
            ChannelError: The frame is too large; the link goes on.
        """
        self.sock.sendall(self.channel.seal(*parts))

    def receive(self, timeout: float) -> bytearray:
        """The next frame.

        Raises:
            OSError: The link is gone; TimeoutError after `timeout` seconds of silence. It is of no use any more.
            ChannelError: What came is not what the peer sent.
        """
        self.sock.settimeout(timeout)
        frame: bytearray | None = None
        while frame is None:
            frame = self.channel.take(_fill(self.sock, self._sealed[: self.channel.wanted]))
        return frame

    def close(self) -> None:
        """Ends it, also for a thread that waits in it."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


def _exactly(sock: socket.socket, size: int, deadline: Deadline | None = None) -> memoryview:
    """Reads so many bytes; with a deadline for all of them, else with the socket's timeout for each call."""
    return _fill(sock, memoryview(bytearray(size)), deadline)


def _fill(sock: socket.socket, data: memoryview, deadline: Deadline | None = None) -> memoryview:
    got = 0
    while got < len(data):
        if deadline is not None:
            sock.settimeout(deadline.left())
        more = sock.recv_into(data[got:])
        if not more:
            raise PeerError("the peer closed the connection")
        got += more
    return data


class _Handshake:
    """Messages before a connection is a link: few, short, and in time."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock, self._deadline = sock, deadline

    def send(self, data: bytes | bytearray) -> None:
        self._sock.settimeout(self._deadline.left())
        self._sock.sendall(data)

    def send_greeting(self, greeting: bytes) -> None:
        self.send(len(greeting).to_bytes(LENGTH, "little") + greeting)

    def greeting(self) -> bytes:
        length = int.from_bytes(_exactly(self._sock, LENGTH, self._deadline), "little")
        if length > MAX_GREETING:
            raise ChannelError("the other side does not speak pairsim's peer protocol")
        return bytes(_exactly(self._sock, length, self._deadline))

    def frame(self, channel: Channel) -> bytearray:
        frame: bytearray | None = None
        while frame is None:
            frame = channel.take(_exactly(self._sock, channel.wanted, self._deadline))
        return frame

    def link(self, channel: Channel, hello: Hello) -> Link:
        """The peer has proved the secret: it may send large frames, and take its time."""
        channel.max_frame = STREAM_FRAME if hello.kind == "sync" else MAX_FRAME
        self._sock.settimeout(SEND_PATIENCE)
        return Link(self._sock, channel)


def dial(address: str, secret: bytes, hello: Hello, timeout: float) -> Link:
    """Connects to host:port and proves the secret, both ways, within `timeout` seconds.

    Raises:
        PeerError: Nobody is there, it is not in time, or whoever is there does not take this side's proof.
        RefusedByPeerError: The peer does not want it.
        ChannelError: Whoever is there does not know the secret.
    """
    initiator = Initiator(secret, hello)
    deadline = Deadline(timeout)
    sock = connect(address, deadline)
    with _explained(sock, address):
        handshake = _Handshake(sock, deadline)
        handshake.send_greeting(initiator.greeting)
        channel = initiator.channel(handshake.greeting(), _MAX_HANDSHAKE_FRAME)
        handshake.send(channel.seal(_PROOF))
        answer = msgspec.msgpack.decode(handshake.frame(channel), type=_Answer)
        link = handshake.link(channel, hello)
    if not answer.accepted:
        link.close()
        raise RefusedByPeerError(answer.reason, answer.detail)
    return link


@contextlib.contextmanager
def _explained(sock: socket.socket, address: str) -> Iterator[None]:
    """Closes the socket of a handshake that fails, and says what that means."""
    try:
        yield
    except BaseException as error:
        sock.close()
        if isinstance(error, TimeoutError):
            raise PeerError(f"{address} did not finish the handshake in time") from error
        if isinstance(error, OSError):
            reason = "it has another secret, or too many try to connect"
            raise PeerError(f"{address} ended the handshake ({error.strerror or error}): {reason}") from error
        if isinstance(error, UNDECODABLE):
            raise ChannelError(f"{address} gave an answer of no known form") from error
        raise


Taker = Callable[[Link], None]
Handler = Callable[[Hello], Taker]
"""Looks at what a connection is for and returns who takes it, or raises `RefusedError`."""


class PeerPort:
    """Listens, authenticates, and hands connections to whoever they are for.

    Attributes:
        address: host:port, with the port that was chosen if 0 was asked for.
    """

    def __init__(
        self, address: str, secret: bytes, timeout: float, max_pending: int = MAX_PENDING, *, name: str | None = None
    ) -> None:
        """Binds at once; serves until `close`.

        Args:
            address: host:port to listen at; port 0 for any.
            secret: What peers must know.
            timeout: A handshake may take so many seconds.
            max_pending: Connections that may be in the handshake; twice as many threads at most.
            name: The own name: who wants to speak with another process (at an address that has changed hands)
                is refused. None takes every name.

        Raises:
            OSError: It cannot listen there.
        """
        self._secret, self._timeout, self._max_pending, self._name = secret, timeout, max_pending, name
        self._handlers: dict[str, Handler] = {}
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)  # notified when a handshake's thread ends
        self._pending: dict[socket.socket, None] = {}
        self._threads: set[threading.Thread] = set()
        self._closed = threading.Event()
        host, port = split(address)
        self._listener = socket.create_server((host, port), backlog=_BACKLOG)
        self.address = f"{host}:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept_all, name="peer-port", daemon=True)
        self._thread.start()

    def register(self, kind: str, handler: Handler) -> None:
        """Connections of a kind are for `handler` to judge, and for its taker to own; in their own thread."""
        self._handlers[kind] = handler

    def close(self) -> None:
        """Stops listening and ends the handshakes that are under way; links that were handed over stay."""
        self._closed.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            while self._pending:
                self._evict()
            self._room.notify()
            threads = [self._thread, *self._threads]
        deadline = Deadline(_JOIN)
        for thread in threads:
            if thread is not threading.current_thread():
                with contextlib.suppress(TimeoutError):
                    thread.join(deadline.left())

    def _accept_all(self) -> None:
        while not self._closed.is_set():
            try:
                sock, _address = self._listener.accept()
            except OSError:
                self._closed.wait(_EXHAUSTED)  # out of file descriptors: others must end first
                continue
            thread = threading.Thread(target=self._greet, args=(sock,), name="handshake", daemon=True)
            if not self._admit(sock, thread):
                sock.close()

    def _admit(self, sock: socket.socket, thread: threading.Thread) -> bool:
        """Starts a handshake; those that were evicted need a moment to end, meanwhile others wait in the backlog."""
        with self._lock:
            if len(self._pending) >= self._max_pending:
                self._evict()
            if not self._room.wait_for(self._has_room, self._timeout) or self._closed.is_set():
                return False
            try:
                thread.start()
            except RuntimeError:  # the system has no more threads
                return False
            self._threads.add(thread)
            self._pending[sock] = None
            return True

    def _has_room(self) -> bool:
        return len(self._threads) < 2 * self._max_pending or self._closed.is_set()

    def _evict(self) -> None:
        """Ends the oldest handshake; its thread closes the socket, but never while the lock is held."""
        oldest = next(iter(self._pending))
        del self._pending[oldest]
        with contextlib.suppress(OSError):
            oldest.shutdown(socket.SHUT_RDWR)

    def _greet(self, sock: socket.socket) -> None:
        taken = False
        try:
            taken = self._handshake(sock)
        except (OSError, ChannelError) as error:
            log.debug("a connection to the peer port failed", reason=str(error))
        except Exception:
            log.exception("a connection to the peer port could not be served")
        finally:
            with self._lock:
                self._pending.pop(sock, None)
            if not taken:
                sock.close()
            with self._lock:
                self._threads.discard(threading.current_thread())
                self._room.notify()

    def _handshake(self, sock: socket.socket) -> bool:
        """Whether somebody took the connection."""
        tune(sock)
        handshake = _Handshake(sock, Deadline(self._timeout))
        hello, reply, channel = accept(self._secret, handshake.greeting(), _MAX_HANDSHAKE_FRAME)
        handshake.send_greeting(reply)
        if handshake.frame(channel) != _PROOF:
            raise ChannelError("the peer's proof is none")
        with self._lock:
            if self._pending.pop(sock, self) is self:
                raise PeerError("the handshake came too late")
        try:
            take = self._judge(hello)
        except RefusedError as refusal:
            handshake.send(channel.seal(_encode(_Answer(accepted=False, reason=refusal.reason, detail=refusal.detail))))
            return False
        handshake.send(channel.seal(_encode(_Answer(accepted=True))))
        take(handshake.link(channel, hello))
        return True

    def _judge(self, hello: Hello) -> Taker:
        if self._name is not None and hello.receiver != self._name:
            raise RefusedError(f"this is {self._name}, not {hello.receiver}")
        handler = self._handlers.get(hello.kind)
        if handler is None:
            raise RefusedError(f"nothing of the kind {hello.kind!r} is served here")
        return handler(hello)


_encode = msgspec.msgpack.Encoder().encode
