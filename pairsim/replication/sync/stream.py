"""The state stream over TCP: threads that move frames between a `StatePublisher` and a `Follower`.

A passive or joining replica dials the other replica, and the active sends. Each side has one thread that reads and one
that writes, so a slow peer never delays a tick.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Sequence

import msgspec
import structlog

from pairsim.replication.scheduling import never_preempt
from pairsim.replication.sync.follower import Follower
from pairsim.replication.sync.messages import (
    StreamMessageError,
    ToActive,
    ToSubscriber,
    decode_to_active,
    decode_to_subscriber,
    encode_to_subscriber,
)
from pairsim.replication.sync.publisher import WINDOW_FRAMES, PackedFrame, StatePublisher, Subscriber
from pairsim.replication.transport.channel import ChannelError
from pairsim.replication.transport.dial import RefusedByPeerError, UnprovenError, dial_with_any
from pairsim.replication.transport.key_exchange import Hello
from pairsim.replication.transport.peer_link import PeerLink
from pairsim.replication.transport.secret_mismatches import SecretMismatches
from pairsim.replication.transport.sockets import PeerError
from pairsim.replication.waiting import Wakeup, join
from pairsim.settings import Timing

log = structlog.get_logger()

_QUEUED_MESSAGES = 4 * WINDOW_FRAMES
_SILENCE_SECONDS = 5.0
_JOIN_SECONDS = 5.0
_KEEPALIVE_SECONDS = 0.5


class StreamWriter:
    """A bounded queue and a thread that sends its messages; a peer that is too slow loses the link."""

    def __init__(self, link: PeerLink, name: str) -> None:
        """Starts the thread; `name` is the thread's name."""
        self._link = link
        self._queue: queue.Queue[tuple[bytes, PackedFrame | None] | None] = queue.Queue(_QUEUED_MESSAGES)
        self._offered = Wakeup()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def offer(self, message: ToSubscriber, body: PackedFrame | None) -> None:
        """Queues a message; drops a watermark if the room for watermarks is used up.

        Watermarks leave most of the room to frames, since a frame that finds the queue full costs the link.
        """
        if body is not None or self._queue.qsize() < WINDOW_FRAMES:
            self.put(encode_to_subscriber(message), body)

    def put(self, head: bytes, body: PackedFrame | None = None) -> None:
        """Queues a message; closes the link if the queue is full."""
        try:
            self._queue.put_nowait((head, body))
        except queue.Full:
            self._link.close()
        self._offered.set()

    def close(self) -> None:
        """Ends the thread and the link."""
        self._link.close()
        with contextlib.suppress(queue.Full):  # then the thread is sending, and fails at the closed link
            self._queue.put_nowait(None)
        self._offered.set()
        join(self._thread, _JOIN_SECONDS)

    def _run(self) -> None:
        never_preempt()  # packing takes longer than a tick, and the thread that ticks wakes this one
        try:
            while True:
                self._offered.clear()
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    if not self._offered.wait(_KEEPALIVE_SECONDS):
                        self._link.send(b"")
                    continue
                if item is None:
                    return
                head, body = item
                self._link.send(head, *([body.bytes()] if body is not None else []))
        except (OSError, ChannelError):
            self._link.close()


def serve_stream(link: PeerLink, hello: Hello, publisher: StatePublisher) -> None:
    """Serves a subscriber until its link breaks; blocks."""
    writer = StreamWriter(link, f"state-to-{hello.sender}")
    subscriber: Subscriber = publisher.join(hello.sender, writer)
    try:
        while True:
            data = link.receive(_SILENCE_SECONDS)
            if data:
                publisher.on_message(subscriber, decode_to_active(bytes(data)))
    except (OSError, ChannelError, StreamMessageError) as error:
        log.debug("subscriber left", replica=hello.sender, reason=str(error))
    finally:
        publisher.leave(subscriber)
        writer.close()


class StreamClient:
    """Keeps a stream from the other replica open, and passes its messages to the follower."""

    def __init__(
        self,
        follower: Follower,
        *,
        me: str,
        area: str,
        secrets: Sequence[bytes],
        mismatches: SecretMismatches,
        timing: Timing,
        source: Callable[[], tuple[str, str, int] | None],
        wake: Callable[[], None],
    ) -> None:
        """Starts the reading thread.

        Args:
            follower: Takes the messages.
            me: The name of this process.
            area: The name of the area.
            secrets: The secrets of the world, in the order in which they are tried.
            mismatches: Learns of each handshake that the other replica ended at the proof of the secret.
            timing: The limits of a connection attempt and the pause between two.
            source: Returns name, address (host:port) and generation of the replica to follow; None to wait.
            wake: Called when the follower has a frame to apply.
        """
        self._follower, self._me, self._area, self._secrets = follower, me, area, tuple(secrets)
        self._mismatches = mismatches
        self._timing, self._source, self._wake = timing, source, wake
        self._closed = Wakeup()
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
            join(self._thread, _JOIN_SECONDS)

    def _run(self) -> None:
        while not self._closed.is_set():
            source = self._source()
            if source is None:
                self._closed.wait(self._timing.retry)
                continue
            try:
                self._follow(source)
            except (OSError, PeerError, RefusedByPeerError, ChannelError, StreamMessageError) as error:
                log.debug("state stream ended", source=source[0], reason=str(error))
                if isinstance(error, UnprovenError):
                    self._mismatches.on_failure(self._area, source[0])
            self._follower.on_disconnected()
            self._closed.wait(self._timing.retry)

    def _follow(self, source: tuple[str, str, int]) -> None:
        name, address, generation = source
        hello = Hello(kind="sync", area=self._area, generation=generation, sender=self._me, receiver=name)
        link = self._link = dial_with_any(address, self._secrets, hello, self._timing.connect_timeout)
        self._mismatches.on_success(self._area, name)
        writer = StreamWriter(link, "state-acks")

        def reply(message: ToActive) -> None:
            writer.put(msgspec.msgpack.encode(message))

        self._follower.on_connected(reply, lambda: link.received_bytes)
        try:
            while self._source() == source and not self._closed.is_set():
                data = link.receive(_SILENCE_SECONDS)
                if data:
                    message, body = decode_to_subscriber(memoryview(data))
                    if not self._follower.receive(message, body):
                        raise StreamMessageError("the active sent more frames than it may")
                    if self._follower.ready():
                        self._wake()
        finally:
            writer.close()
            self._link = None
