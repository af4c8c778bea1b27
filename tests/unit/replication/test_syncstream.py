"""What the writer of a state stream does with a peer that is slow."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from typing import cast

from pairsim.replication.measurements import Meters
from pairsim.replication.sync.follower import Follower
from pairsim.replication.sync.messages import FrameHeader, Watermark, decode_to_subscriber
from pairsim.replication.sync.publisher import WINDOW, StatePublisher
from pairsim.replication.sync.stream import StreamClient, _Writer, serve
from pairsim.replication.transport.channel import Channel
from pairsim.replication.transport.key_exchange import Hello
from pairsim.replication.transport.peer_link import PeerLink
from pairsim.replication.transport.peer_port import Acceptor, PeerPort
from pairsim.settings import Timing
from tests.unit.replication.tables import SCHEMA, table

SECRET = b"a secret of the world"
PATIENCE = 10.0
"""How long a test waits for what must happen, in seconds."""


class SlowLink(PeerLink):
    """Takes one frame, and the next ones when it is told to."""

    def __init__(self) -> None:
        sock, self._other = socket.socketpair()
        super().__init__(sock, Channel(bytes(32), bytes([1]) * 32))
        self.sending, self.goes_on = threading.Event(), threading.Event()
        self.sent: queue.Queue[FrameHeader | Watermark] = queue.Queue()
        self.closed = False

    def send(self, *parts: bytes | memoryview) -> None:
        self.sending.set()
        assert self.goes_on.wait(PATIENCE)
        if parts[0]:
            self.sent.put(decode_to_subscriber(b"".join(parts))[0])

    def close(self) -> None:
        self.closed = True
        self.goes_on.set()
        self._other.close()
        super().close()


@contextlib.contextmanager
def subscribed() -> Iterator[tuple[StatePublisher, SlowLink]]:
    """A publisher whose only subscriber is busy with its first frame."""
    publisher, link = StatePublisher(SCHEMA, Meters()), SlowLink()
    writer = _Writer(link, "writer")
    publisher.join("b", writer)
    try:
        publish(publisher, 1)
        assert link.sending.wait(PATIENCE)
        yield publisher, link
    finally:
        link.goes_on.set()
        writer.close()


def publish(publisher: StatePublisher, tick: int) -> None:
    publisher.publish(table(3), term=1, tick=tick, committed=tick - 1, rejected=[])


def test_watermarks_never_cost_a_slow_peer_its_link_nor_a_frame_its_place() -> None:
    with subscribed() as (publisher, link):
        for _turn in range(100):  # the area is at rest, and says again and again what is committed
            publisher.watermark(1, 1)
        for tick in range(2, WINDOW + 1):
            publish(publisher, tick)
        assert not link.closed
        link.goes_on.set()
        told: list[FrameHeader | Watermark] = []
        while not told or told[-1].tick < WINDOW:
            told.append(link.sent.get(timeout=PATIENCE))
        assert [said.tick for said in told if isinstance(said, FrameHeader)] == list(range(1, WINDOW + 1))
        assert Watermark(1, 1) in told


def test_a_watermark_is_told_as_soon_as_there_is_room() -> None:
    with subscribed() as (publisher, link):
        for tick in range(2, WINDOW + 2):
            publish(publisher, tick)
        link.goes_on.set()
        told: list[FrameHeader | Watermark] = []
        while Watermark(1, WINDOW) not in told:
            publisher.watermark(1, WINDOW)
            with contextlib.suppress(queue.Empty):
                told.append(link.sent.get(timeout=0.1))
        assert not link.closed


class Passive:
    """Takes everything, and has something to do when a test says so."""

    def __init__(self) -> None:
        self.taken: queue.Queue[int] = queue.Queue()
        self.has_to_do = False

    def connected(self, reply: Callable[[object], None] | None) -> None: ...

    def receive(self, message: FrameHeader | Watermark, _body: memoryview) -> bool:
        self.taken.put(message.tick)
        return True

    def ready(self) -> bool:
        return self.has_to_do


def test_what_the_stream_brings_wakes_the_passive_when_there_is_something_to_do() -> None:
    publisher, passive, woken = StatePublisher(SCHEMA, Meters()), Passive(), threading.Event()
    port = PeerPort("127.0.0.1:0", SECRET, PATIENCE, name="a")

    def answer(hello: Hello) -> Acceptor:
        return lambda link: serve(link, hello, publisher)

    port.register("sync", answer)
    client = StreamClient(
        cast("Follower", passive), me="b", area="north", secret=SECRET, timing=Timing(connect_timeout=PATIENCE),
        source=lambda: ("a", port.address, 1), wake=woken.set,
    )  # fmt: skip
    try:
        publish(publisher, 1)
        while passive.taken.empty():
            publisher.watermark(1, 1)
        publish(publisher, 2)
        while passive.taken.get(timeout=PATIENCE) < 2:
            pass
        assert not woken.is_set()
        passive.has_to_do = True
        publish(publisher, 3)
        assert woken.wait(PATIENCE)
    finally:
        client.close()
        port.close()
