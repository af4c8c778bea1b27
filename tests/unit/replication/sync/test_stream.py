"""The stream between real sockets, and the writer of a stream to a slow peer."""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import cast

import pytest

from pairsim.replication.measurements import ReplicaMeasurements
from pairsim.replication.sync import publisher as publisher_module
from pairsim.replication.sync import stream
from pairsim.replication.sync.codec import PendingFrame
from pairsim.replication.sync.follower import Follower
from pairsim.replication.sync.messages import FrameHeader, Watermark, decode_to_subscriber
from pairsim.replication.sync.publisher import WINDOW_FRAMES, StatePublisher
from pairsim.replication.sync.snapshots import SnapshotTaker
from pairsim.replication.sync.stream import StreamClient, StreamWriter, serve_stream
from pairsim.replication.transport.channel import Channel
from pairsim.replication.transport.key_exchange import Hello
from pairsim.replication.transport.peer_link import PeerLink
from pairsim.replication.transport.peer_port import Acceptor, PeerPort
from pairsim.replication.transport.secret_mismatches import SecretMismatches
from pairsim.settings import Timing
from tests.unit.replication.tables import BORDERS, SCHEMA, table

SECRET = b"a secret of the world"
TIMEOUT_SECONDS = 10.0
"""How long a test waits for an expected event."""


class SlowLink(PeerLink):
    """A link that blocks in the first frame until a test sets `resume`."""

    def __init__(self) -> None:
        sock, self._other = socket.socketpair()
        super().__init__(sock, Channel(bytes(32), bytes([1]) * 32))
        self.sending, self.resume = threading.Event(), threading.Event()
        self.sent: queue.Queue[FrameHeader | Watermark] = queue.Queue()
        self.closed = False

    def send(self, *parts: bytes | memoryview) -> None:
        self.sending.set()
        assert self.resume.wait(TIMEOUT_SECONDS)
        if parts[0]:
            self.sent.put(decode_to_subscriber(b"".join(parts))[0])

    def close(self) -> None:
        self.closed = True
        self.resume.set()
        self._other.close()
        super().close()


@contextlib.contextmanager
def subscribed() -> Iterator[tuple[StatePublisher, SlowLink]]:
    """A publisher whose only subscriber is blocked in its first frame."""
    publisher, link = StatePublisher(SCHEMA, ReplicaMeasurements()), SlowLink()
    writer = StreamWriter(link, "writer")
    publisher.join("b", writer)
    try:
        publish(publisher, 1)
        assert link.sending.wait(TIMEOUT_SECONDS)
        yield publisher, link
    finally:
        link.resume.set()
        writer.close()


def publish(publisher: StatePublisher, tick: int) -> None:
    publisher.publish(SnapshotTaker().take(table(3)), BORDERS, term=1, tick=tick, committed=tick - 1)


def test_the_thread_that_packs_does_not_preempt_the_one_that_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    policies: queue.Queue[int] = queue.Queue()

    def pack(_frame: PendingFrame) -> bytes:
        policies.put(os.sched_getscheduler(0))
        return b""

    monkeypatch.setattr(publisher_module, "pack", pack)
    with subscribed():
        assert policies.get(timeout=TIMEOUT_SECONDS) == os.SCHED_BATCH


def test_watermarks_leave_a_slow_peer_its_link_and_frames_their_room() -> None:
    with subscribed() as (publisher, link):
        for _turn in range(100):  # an area at rest repeats its watermark
            publisher.send_watermark(1, 1)
        for tick in range(2, WINDOW_FRAMES + 1):
            publish(publisher, tick)
        assert not link.closed
        link.resume.set()
        received: list[FrameHeader | Watermark] = []
        while not received or received[-1].tick < WINDOW_FRAMES:
            received.append(link.sent.get(timeout=TIMEOUT_SECONDS))
        frames = [message.tick for message in received if isinstance(message, FrameHeader)]
        assert frames == list(range(1, WINDOW_FRAMES + 1))
        assert Watermark(1, 1) in received


def test_a_watermark_is_sent_as_soon_as_there_is_room() -> None:
    with subscribed() as (publisher, link):
        for tick in range(2, WINDOW_FRAMES + 2):
            publish(publisher, tick)
        link.resume.set()
        received: list[FrameHeader | Watermark] = []
        while Watermark(1, WINDOW_FRAMES) not in received:
            publisher.send_watermark(1, WINDOW_FRAMES)
            with contextlib.suppress(queue.Empty):
                received.append(link.sent.get(timeout=0.1))
        assert not link.closed


def test_a_message_that_comes_while_the_writer_looks_for_one_is_sent_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    writers: list[StreamWriter] = []

    class Interrupted(queue.Queue[tuple[bytes, None] | None]):
        """A queue that another thread fills right after the writer has found it empty."""

        def get_nowait(self) -> tuple[bytes, None] | None:
            try:
                return super().get_nowait()
            except queue.Empty:
                if writers:
                    writers.pop().offer(Watermark(1, 2), None)
                raise

    monkeypatch.setattr(stream, "_KEEPALIVE_SECONDS", 60 * TIMEOUT_SECONDS)
    link = SlowLink()
    link.resume.set()
    with monkeypatch.context() as made:
        made.setattr("pairsim.replication.sync.stream.queue.Queue", Interrupted)
        writer = StreamWriter(link, "writer")
    writers.append(writer)
    writer.offer(Watermark(1, 1), None)
    try:
        assert [link.sent.get(timeout=TIMEOUT_SECONDS) for _ in range(2)] == [Watermark(1, 1), Watermark(1, 2)]
    finally:
        writer.close()


class FakeFollower:
    """A follower that accepts all messages, and is ready when a test says so."""

    def __init__(self) -> None:
        self.received: queue.Queue[int] = queue.Queue()
        self.is_ready = False

    def on_connected(self, reply: Callable[[object], None], transferred: Callable[[], int]) -> None: ...

    def on_disconnected(self) -> None: ...

    def receive(self, message: FrameHeader | Watermark, _body: memoryview) -> bool:
        self.received.put(message.tick)
        return True

    def ready(self) -> bool:
        return self.is_ready


def test_a_message_wakes_the_passive_when_a_frame_can_be_applied() -> None:
    publisher, passive, woken = StatePublisher(SCHEMA, ReplicaMeasurements()), FakeFollower(), threading.Event()
    port = PeerPort("127.0.0.1:0", (SECRET,), TIMEOUT_SECONDS, name="a")

    def answer(hello: Hello) -> Acceptor:
        return lambda link: serve_stream(link, hello, publisher)

    port.register("sync", answer)
    client = StreamClient(
        cast("Follower", passive), me="b", area="north", secrets=(SECRET,), mismatches=SecretMismatches(),
        timing=Timing(connect_timeout=TIMEOUT_SECONDS),
        source=lambda: ("a", port.address, 1), wake=woken.set,
    )  # fmt: skip
    try:
        publish(publisher, 1)
        end = time.monotonic() + TIMEOUT_SECONDS
        while passive.received.empty():
            publisher.send_watermark(1, 1)
            assert time.monotonic() < end, "the stream does not begin"
        publish(publisher, 2)
        while passive.received.get(timeout=TIMEOUT_SECONDS) < 2:
            pass
        assert not woken.is_set()
        passive.is_ready = True
        publish(publisher, 3)
        assert woken.wait(TIMEOUT_SECONDS)
    finally:
        client.close()
        port.close()
