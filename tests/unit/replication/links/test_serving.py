"""Of two connections of one area, the sender knows the newer one alone."""

from __future__ import annotations

import queue
import threading
from typing import cast

from pairsim.model.borders import Acknowledgement, AreaMap
from pairsim.replication.links.arrivals import Arrivals
from pairsim.replication.links.board import Board, LinkState, Posted
from pairsim.replication.links.messages import Introduction, decode_to_sender, encode_message
from pairsim.replication.links.outbox import Outbox
from pairsim.replication.links.serving import LinkServer
from pairsim.replication.transport.peer_link import PeerLink
from tests.unit.replication.tables import SCHEMA
from tests.unit.replication.transport.peers import until

WEST, EAST = 1, 2


class FakeLink:
    """A connection whose sender has introduced itself, and says nothing more until it breaks."""

    def __init__(self) -> None:
        self.closed = False
        self.sent: list[bytes] = []
        self._frames: queue.Queue[bytearray | None] = queue.Queue()
        self._frames.put(bytearray(encode_message(Introduction(WEST))))

    def receive(self, _seconds: float) -> bytearray:
        frame = self._frames.get()
        if frame is None:
            raise OSError("closed")
        return frame

    def send(self, frame: bytes) -> None:
        self.sent.append(frame)

    def close(self) -> None:
        self.closed = True
        self._frames.put(None)

    @property
    def newest(self) -> int:
        """How far the entries were taken, as the last acknowledgement says; -1 without one."""
        frames = [frame for frame in self.sent if frame]
        return decode_to_sender(frames[-1]).taken if frames else -1


class Served:
    """A server with connections, each in a thread."""

    def __init__(self) -> None:
        self.board, arrivals = Board(), Arrivals()
        arrivals.begin()
        self.post(1)
        self.server = LinkServer("east", self.board, arrivals, SCHEMA)
        self.threads: list[threading.Thread] = []

    def post(self, taken: int) -> None:
        links = {WEST: LinkState(Outbox(), Acknowledgement(taken, 0, taken))}
        self.board.post(Posted(1, taken, EAST, AreaMap(), links))

    def connect(self) -> FakeLink:
        link = FakeLink()
        self.threads.append(threading.Thread(target=self.server.serve, args=(cast("PeerLink", link),), daemon=True))
        self.threads[-1].start()
        until(lambda: link.newest >= 0)
        return link


def test_a_newer_connection_of_an_area_ends_the_one_before() -> None:
    served = Served()
    first = served.connect()
    second = served.connect()
    until(lambda: first.closed)
    assert not second.closed
    served.server.close()


def test_the_end_of_an_older_connection_leaves_the_newer_one_its_acknowledgements() -> None:
    served = Served()
    served.connect()
    second = served.connect()
    served.threads[0].join(10.0)
    assert not served.threads[0].is_alive()
    served.post(5)
    until(lambda: second.newest == 5)
    served.server.close()
