"""The state stream over TCP: threads that move frames between a `StatePublisher` and a `Follower`.

A passive or joining replica dials the other replica; whoever is active sends. Each side has one thread that reads
and one that writes, so that a slow peer never holds up the tick.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable

import msgspec
import structlog

from pairsim.replication.sync.follower import Follower
from pairsim.replication.sync.messages import (
    StreamMessageError,
    ToActive,
    ToSubscriber,
    decode_to_active,
    decode_to_subscriber,
    encode_to_subscriber,
)
from pairsim.replication.sync.publisher import WINDOW, Packed, StatePublisher, Subscriber
from pairsim.replication.transport.channel import ChannelError
from pairsim.replication.transport.dial import RefusedByPeerError, dial
from pairsim.replication.transport.key_exchange import Hello
from pairsim.replication.transport.peer_link import PeerLink
from pairsim.replication.transport.sockets import PeerError
from pairsim.settings import Timing

log = structlog.get_logger()

_OUTLET = 4 * WINDOW
_PATIENCE = 5.0
_KEEPALIVE = 0.5


class _Writer:
    """A bounded queue and a thread that sends what is in it; too slow a peer loses the link."""

    def __init__(self, link: PeerLink, name: str) -> None:
        self._link = link
        self._queue: queue.Queue[tuple[bytes, Packed | None] | None] = queue.Queue(_OUTLET)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def offer(self, message: ToSubscriber, body: Packed | None) -> None:
        """See `Outlet`; watermarks leave most of the room to frames, which would lose the link for want of it."""
        if body is not None or self._queue.qsize() < WINDOW:
            self.put(encode_to_subscriber(message), body)

    def put(self, head: bytes, body: Packed | None = None) -> None:
        try:
            self._queue.put_nowait((head, body))
        except queue.Full:
            self._link.close()

    def close(self) -> None:
        """Ends the thread and the link."""
        self._link.close()
        with contextlib.suppress(queue.Full):  # then the thread is sending, and fails at the closed link
            self._queue.put_nowait(None)
        self._thread.join(_PATIENCE)

    def _run(self) -> None:
        try:
            while True:
                try:
                    item = self._queue.get(timeout=_KEEPALIVE)
                except queue.Empty:
                    self._link.send(b"")
                    continue
                if item is None:
                    return
                head, body = item
                self._link.send(head, *([body.bytes()] if body is not None else []))
        except (OSError, ChannelError):
            self._link.close()


def serve(link: PeerLink, hello: Hello, publisher: StatePublisher) -> None:
    """Serves a subscriber until the link breaks; blocks."""
    writer = _Writer(link, f"state-to-{hello.sender}")
    subscriber: Subscriber = publisher.join(hello.sender, writer)
    try:
        while True:
            data = link.receive(_PATIENCE)
            if data:
                publisher.on_message(subscriber, decode_to_active(bytes(data)))
    except (OSError, ChannelError, StreamMessageError) as error:
        log.debug("a subscriber left", replica=hello.sender, reason=str(error))
    finally:
        publisher.leave(subscriber)
        writer.close()


class StreamClient:
    """Keeps a stream from the other replica up, and feeds the follower."""

    def __init__(
        self,
        follower: Follower,
        *,
        me: str,
        area: str,
        secret: bytes,
        timing: Timing,
        source: Callable[[], tuple[str, str, int] | None],
        wake: Callable[[], None],
    ) -> None:
        """`source` tells name, address and generation of the replica to follow; None for nobody at the moment."""
        self._follower, self._me, self._area, self._secret = follower, me, area, secret
        self._timing, self._source, self._wake = timing, source, wake
        self._closed = threading.Event()
        self._link: PeerLink | None = None
        self._thread = threading.Thread(target=self._run, name="state-stream", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the stream."""
        self._closed.set()
        link = self._link
        if link is not None:
            link.close()
        if self._thread is not threading.current_thread():
            self._thread.join(_PATIENCE)

    def _run(self) -> None:
        while not self._closed.is_set():
            source = self._source()
            if source is None:
                self._closed.wait(self._timing.retry)
                continue
            try:
                self._follow(source)
            except (OSError, PeerError, RefusedByPeerError, ChannelError, StreamMessageError) as error:
                log.debug("no state stream", source=source[0], reason=str(error))
            self._follower.connected(None)
            self._closed.wait(self._timing.retry)

    def _follow(self, source: tuple[str, str, int]) -> None:
        name, address, generation = source
        hello = Hello(kind="sync", area=self._area, generation=generation, sender=self._me, receiver=name)
        link = self._link = dial(address, self._secret, hello, self._timing.connect_timeout)
        writer = _Writer(link, "state-acks")

        def reply(message: ToActive) -> None:
            writer.put(msgspec.msgpack.encode(message))

        self._follower.connected(reply)
        try:
            while self._source() == source and not self._closed.is_set():
                data = link.receive(_PATIENCE)
                if data:
                    message, body = decode_to_subscriber(memoryview(data))
                    if not self._follower.receive(message, body):
                        raise StreamMessageError("the active sends more frames than it may")
                    if self._follower.ready():
                        self._wake()
        finally:
            writer.close()
            self._link = None
