"""Links over real sockets: from the active of one area to the active of another one, whatever breaks."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

import msgspec
import pytest

from pairsim.model.area import AreaSpec
from pairsim.model.assignment import Assignment, Member
from pairsim.model.authority import Cell
from pairsim.model.borders import Acknowledgement, AreaMap
from pairsim.model.geometry import Box
from pairsim.replication.links import dialling
from pairsim.replication.links.arrivals import Arrivals
from pairsim.replication.links.board import Board, LinkState, Posted
from pairsim.replication.links.dialling import KIND, LinkClient
from pairsim.replication.links.outbox import Outbox
from pairsim.replication.links.serving import LinkServer
from pairsim.replication.transport.key_exchange import Hello
from pairsim.replication.transport.peer_link import PeerLink
from pairsim.replication.transport.peer_port import Acceptor, LinkRefusedError, PeerPort
from pairsim.settings import Timing
from tests.unit.replication.links.entries import body, message
from tests.unit.replication.tables import SCHEMA
from tests.unit.replication.transport.peers import until

SECRET = b"a secret of the world"
TIMING = Timing(connect_timeout=5.0, retry=0.01)
WEST, EAST = 1, 2
WITNESS = Member(replica="witness-1", peer="127.0.0.1:1", url="http://127.0.0.1:1")
BOX = Box((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def east_at(*replicas: Member) -> Cell:
    return Cell(number=EAST, area="east", bounds=BOX, replicas=replicas)


class ReceivingReplica:
    """A replica of the area east: it takes what arrives while it is the active."""

    def __init__(self, name: str, taken: list[int]) -> None:
        self.taken = taken
        self.board = Board()
        self.arrivals = Arrivals(lambda _number: len(taken))
        self.server = LinkServer("east", self.board, self.arrivals, SCHEMA)
        self.port = PeerPort("127.0.0.1:0", (SECRET,), 5.0, name=name)
        self.port.register(KIND, self._accept)
        self.member = Member(replica=name, peer=self.port.address, url="http://127.0.0.1:1")
        self.others: tuple[Member, Member] | None = None
        self.links: list[PeerLink] = []
        self.clock = 0

    def _accept(self, _hello: Hello) -> Acceptor:
        if not self.board.posted.term:
            raise LinkRefusedError("this replica is not the active of east", self._detail())
        return self._serve

    def _serve(self, link: PeerLink) -> None:
        self.links.append(link)
        threading.Thread(target=self.server.serve, args=(link,), daemon=True).start()

    def _detail(self) -> bytes:
        if self.others is None:
            return b""
        spec = AreaSpec(area="east", plane="physics", simulator="physics", bounds=BOX, world=BOX)
        return msgspec.json.encode(Assignment(spec=spec, generation=1, replicas=self.others, witness=WITNESS))

    def lead(self, term: int) -> None:
        self.arrivals.begin()
        self.term = term
        self.post()

    def post(self) -> None:
        self.clock += 1
        acknowledgement = Acknowledgement(len(self.taken), 0, self.clock)
        self.board.post(Posted(self.term, self.clock, EAST, AreaMap(), {WEST: LinkState(Outbox(), acknowledgement)}))

    def step_down(self) -> None:
        self.board.clear()
        self.arrivals.end()

    def tick(self) -> None:
        """Takes what waits, and commits it."""
        for arrival in self.arrivals.take():
            assert (arrival.area, arrival.sequence) == (WEST, len(self.taken) + 1)
            self.taken.append(arrival.message.clock)
        self.post()

    def close(self) -> None:
        self.server.close()
        self.port.close()
        for link in self.links:
            link.close()


class SendingReplica:
    """The active of the area west, with entries for east."""

    def __init__(self, *replicas: Member, entries: int = 0) -> None:
        self.board, self.arrivals = Board(), Arrivals()
        self.arrivals.begin()
        self.entries: list[int] = []
        self.clock = 0
        if entries:
            self.send(entries)
        self.client = LinkClient(
            east_at(*replicas), self.board, self.arrivals,
            me="west-1", secrets=(SECRET,), timing=TIMING,
        )  # fmt: skip

    def send(self, count: int) -> None:
        self.entries += range(len(self.entries), len(self.entries) + count)
        self.clock += 1
        outbox = Outbox(1, [message(number) for number in self.entries])
        self.board.post(
            Posted(1, self.clock, WEST, AreaMap(), {EAST: LinkState(outbox, Acknowledgement(0, 0, self.clock))})
        )

    def close(self) -> None:
        self.client.close()


@contextlib.contextmanager
def closing(*parts: ReceivingReplica | SendingReplica) -> Iterator[None]:
    try:
        yield
    finally:
        for part in parts:
            part.close()


def ticking(replica: ReceivingReplica, condition: Callable[[], bool]) -> Callable[[], bool]:
    def look() -> bool:
        replica.tick()
        return condition()

    return look


def test_entries_arrive_in_order_and_are_acknowledged() -> None:
    taken: list[int] = []
    east = ReceivingReplica("east-1", taken)
    west = SendingReplica(east.member)
    with closing(west, east):
        east.lead(1)
        west.send(20)
        until(ticking(east, lambda: len(taken) == 20))
        assert taken == west.entries
        until(lambda: any(a.taken == 20 for a in west.arrivals.take_acknowledgements().values()))


def test_everything_arrives_once_although_connections_break() -> None:
    taken: list[int] = []
    east = ReceivingReplica("east-1", taken)
    west = SendingReplica(east.member)
    with closing(west, east):
        east.lead(1)
        for part in range(1, 6):
            west.send(40)
            until(ticking(east, lambda: len(taken) >= 40 * part - 20))  # noqa: B023 - called at once
            for link in list(east.links):
                link.close()
        until(ticking(east, lambda: len(taken) == 200))
        assert taken == west.entries


def test_the_other_replica_goes_on_where_the_state_is() -> None:
    taken: list[int] = []
    first, second = ReceivingReplica("east-1", taken), ReceivingReplica("east-2", taken)
    west = SendingReplica(first.member, second.member)
    with closing(west, first, second):
        first.lead(1)
        west.send(30)
        until(ticking(first, lambda: len(taken) >= 10))
        first.step_down()
        west.send(30)
        second.lead(2)
        until(ticking(second, lambda: len(taken) == 60))
        assert taken == west.entries


def test_a_refusal_leads_to_replicas_that_the_sender_did_not_know() -> None:
    taken: list[int] = []
    old, new = ReceivingReplica("east-1", taken), ReceivingReplica("east-2", taken)
    old.others = (old.member, new.member)
    west = SendingReplica(old.member)
    with closing(west, old, new):
        new.lead(5)
        west.send(3)
        until(ticking(new, lambda: len(taken) == 3))


def test_a_refusal_is_followed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pause between two looks is longer than the test waits."""
    monkeypatch.setattr(dialling, "FIRST_PAUSE_SECONDS", 1_000.0)
    taken: list[int] = []
    old, new = ReceivingReplica("east-1", taken), ReceivingReplica("east-2", taken)
    old.others = (old.member, new.member)
    new.lead(5)
    west = SendingReplica(old.member, entries=3)
    with closing(west, old, new):
        until(ticking(new, lambda: len(taken) == 3))


def test_a_sender_that_is_not_the_active_any_more_sends_nothing() -> None:
    taken: list[int] = []
    east = ReceivingReplica("east-1", taken)
    west = SendingReplica(east.member)
    with closing(west, east):
        east.lead(1)
        west.send(1)
        until(ticking(east, lambda: len(taken) == 1))
        west.board.clear()
        until(lambda: not west.client.connected)


def test_an_area_that_takes_nothing_costs_its_neighbours_no_memory() -> None:
    taken: list[int] = []
    east = ReceivingReplica("east-1", taken)
    east.arrivals = Arrivals(lambda _number: len(taken), limit=10 * len(body(9)))
    east.server.close()
    east.server = LinkServer("east", east.board, east.arrivals, SCHEMA)
    west = SendingReplica(east.member)
    with closing(west, east):
        east.lead(1)
        west.send(50)
        until(lambda: len(east.arrivals.take()) == 10)
        until(ticking(east, lambda: len(taken) == 50))
        assert taken == west.entries
