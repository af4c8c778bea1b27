"""The peer port: one TCP port per process, for Raft and the state stream of all of its areas.

A connection is served by blocking sockets in short-lived threads, around the handshake of `handshake.py`. A process
that cannot prove the secret gets only the reply to its greeting and reaches no handler.

A connection must finish its handshake within one deadline, and the number of simultaneous handshakes is limited. When
the limit is reached, a new connection evicts the oldest unfinished one, so silent strangers cannot block honest peers.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Sequence

import msgspec
import structlog

from pairsim.addresses import format_address, parse_address
from pairsim.replication.transport.channel import ChannelError
from pairsim.replication.transport.handshake import MAX_HANDSHAKE_FRAME, PROOF, Handshake, HandshakeAnswer
from pairsim.replication.transport.key_exchange import Hello, respond_to_any
from pairsim.replication.transport.peer_link import PeerLink
from pairsim.replication.transport.sockets import Deadline, PeerError, configure
from pairsim.replication.waiting import Wakeup, join
from pairsim.system.listening import listen

log = structlog.get_logger()

MAX_PENDING = 32
"""How many handshakes may be under way at a time."""

_BACKLOG = 128
_JOIN_SECONDS = 2.0
_ACCEPT_RETRY_SECONDS = 0.01


class LinkRefusedError(Exception):
    """Raised by a handler to refuse a connection; reason and detail together must stay below 64 KiB.

    Attributes:
        reason: Why the connection is refused.
        detail: What the dialling process should know instead; may be empty.
    """

    def __init__(self, reason: str, detail: bytes = b"") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


Acceptor = Callable[[PeerLink], None]
"""Takes ownership of an accepted link."""

Handler = Callable[[Hello], Acceptor]
"""Decides on a connection by its purpose: returns the acceptor of the link, or raises `LinkRefusedError`."""


class PeerPort:
    """Listens, authenticates, and passes each connection to the handler of its kind.

    Attributes:
        address: host:port, with the port number that the system chose if port 0 was requested.
    """

    def __init__(
        self,
        address: str,
        secrets: Sequence[bytes],
        timeout: float,
        max_pending: int = MAX_PENDING,
        *,
        name: str | None = None,
        on_unproven: Callable[[Hello], None] = lambda _hello: None,
    ) -> None:
        """Binds at once and serves until `close`.

        Args:
            address: host:port to listen at; the system chooses the number for port 0.
            secrets: The secrets of which peers must prove to know one.
            timeout: The seconds that a handshake may take.
            max_pending: The limit of simultaneous handshakes; at most twice as many threads run.
            name: The name of this process. Connections to another name are refused, since an address may have been
                reused by another process. None accepts every name.
            on_unproven: Called in the connection's thread with the claim of a peer that knows none of the secrets.

        Raises:
            AddressError: The address does not have the form host:port.
            OSError: The address is in use or cannot be bound.
        """
        self._secrets, self._timeout, self._max_pending, self._name = tuple(secrets), timeout, max_pending, name
        self._on_unproven = on_unproven
        self._handlers: dict[str, Handler] = {}
        self._lock = threading.Lock()
        self._thread_ended = threading.Condition(self._lock)
        self._pending: dict[socket.socket, None] = {}
        self._threads: set[threading.Thread] = set()
        self._closed = Wakeup()
        host, port = parse_address(address)
        self._listener = listen(host, port, backlog=_BACKLOG)
        self.address = format_address(host, self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._accept_all, name="peer-port", daemon=True)
        self._thread.start()

    def register(self, kind: str, handler: Handler) -> None:
        """Sets the handler for connections of a kind; handler and acceptor run in the connection's thread."""
        self._handlers[kind] = handler

    def close(self) -> None:
        """Stops listening and ends all handshakes; links that were passed to an acceptor stay open."""
        self._closed.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            while self._pending:
                self._evict_oldest()
            self._thread_ended.notify()
            threads = [self._thread, *self._threads]
        deadline = Deadline(_JOIN_SECONDS)
        for thread in threads:
            if thread is not threading.current_thread():
                with contextlib.suppress(TimeoutError):
                    join(thread, deadline.remaining())

    def _accept_all(self) -> None:
        while not self._closed.is_set():
            try:
                sock, _address = self._listener.accept()
            except OSError:
                self._closed.wait(_ACCEPT_RETRY_SECONDS)  # out of file descriptors: other connections must end first
                continue
            thread = threading.Thread(target=self._run_handshake, args=(sock,), name="handshake", daemon=True)
            if not self._admit(sock, thread):
                sock.close()

    def _admit(self, sock: socket.socket, thread: threading.Thread) -> bool:
        """Starts a handshake. Evicted threads need a moment to end; until then new connections wait in the backlog."""
        with self._lock:
            if len(self._pending) >= self._max_pending:
                self._evict_oldest()
            if not self._thread_ended.wait_for(self._may_start, self._timeout) or self._closed.is_set():
                return False
            try:
                thread.start()
            except RuntimeError:  # the system has no more threads
                return False
            self._threads.add(thread)
            self._pending[sock] = None
            return True

    def _may_start(self) -> bool:
        return len(self._threads) < 2 * self._max_pending or self._closed.is_set()

    def _evict_oldest(self) -> None:
        """Ends the oldest handshake; its own thread closes the socket, but never while the lock is held."""
        oldest = next(iter(self._pending))
        del self._pending[oldest]
        with contextlib.suppress(OSError):
            oldest.shutdown(socket.SHUT_RDWR)

    def _run_handshake(self, sock: socket.socket) -> None:
        accepted = False
        try:
            accepted = self._shake_hands(sock)
        except (OSError, ChannelError) as error:
            log.debug("handshake failed", reason=str(error))
        except Exception:
            log.exception("handshake failed unexpectedly")
        finally:
            with self._lock:
                self._pending.pop(sock, None)
            if not accepted:
                sock.close()
            with self._lock:
                self._threads.discard(threading.current_thread())
                self._thread_ended.notify()

    def _shake_hands(self, sock: socket.socket) -> bool:
        """Authenticates a connection and passes it on; returns whether an acceptor took it."""
        configure(sock)
        handshake = Handshake(sock, Deadline(self._timeout))
        hello, reply, channels = respond_to_any(self._secrets, handshake.receive_greeting(), MAX_HANDSHAKE_FRAME)
        handshake.send_greeting(reply)
        try:
            proof, channel = handshake.receive_frame_of_any(channels)
        except ChannelError:
            self._on_unproven(hello)
            raise
        if proof != PROOF:
            raise ChannelError("the peer sent another first frame than the proof")
        with self._lock:
            if self._pending.pop(sock, self) is self:
                raise PeerError("the handshake was evicted before it finished")
        try:
            acceptor = self._judge(hello)
        except LinkRefusedError as refusal:
            answer = HandshakeAnswer(accepted=False, reason=refusal.reason, detail=refusal.detail)
            handshake.send(channel.seal(_encode(answer)))
            return False
        handshake.send(channel.seal(_encode(HandshakeAnswer(accepted=True))))
        acceptor(handshake.link(channel, hello))
        return True

    def _judge(self, hello: Hello) -> Acceptor:
        if self._name is not None and hello.receiver != self._name:
            raise LinkRefusedError(f"this is {self._name}, not {hello.receiver}")
        handler = self._handlers.get(hello.kind)
        if handler is None:
            raise LinkRefusedError(f"connections of the kind {hello.kind!r} are not served here")
        return handler(hello)


_encode = msgspec.msgpack.Encoder().encode
