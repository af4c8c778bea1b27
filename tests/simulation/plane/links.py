"""Links between areas over the simulated network: the ends of connections that ship, without sockets and threads.

As in a process, the active of an area dials the other areas that its posted links and its map name, one replica after
the other, and takes connections while it leads. Everything ends with its leadership.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Callable

from pairsim.model.assignment import Assignment, Member
from pairsim.model.authority import Cell
from pairsim.replication.links.area_links import areas_to_dial
from pairsim.replication.links.arrivals import Admission
from pairsim.replication.links.board import Posted
from pairsim.replication.links.dialling import ActiveSearch
from pairsim.replication.links.ends import (
    KEEPALIVE_SECONDS,
    ROOM_SECONDS,
    SILENCE_SECONDS,
    ReceivedEntry,
    ReceivingEnd,
    SendingEnd,
)
from pairsim.replication.links.messages import Entry, LinkMessageError, decode_to_receiver, decode_to_sender
from pairsim.replication.replica.node import AreaNode
from tests.simulation.network import Endpoint, Network
from tests.simulation.plane.oracle import PlaneOracle
from tests.simulation.plane.simulator import number_of
from tests.simulation.process import TIMING, Turn


class Links:
    """The links of all areas of a plane. It is a peripheral of their processes."""

    def __init__(
        self,
        network: Network,
        oracle: PlaneOracle,
        published_by: Callable[[str], Assignment | None],
        *,
        waiting: int,
        record: int,
    ) -> None:
        """Takes the network and the oracle.

        Args:
            network: The network.
            oracle: Hears what leaves a process.
            published_by: Returns the generation that a process names when it refuses a connection.
            waiting: The most bytes of entries that wait of one link.
            record: The most bytes of entries in one record.
        """
        self._network, self._oracle, self._published_by = network, oracle, published_by
        self._waiting, self._record = waiting, record

    def attach(self, node: AreaNode, name: str) -> Turn:
        """Serves a replica that has just started."""
        links = node.replica.links
        links._record, links.arrivals._limit = self._record, self._waiting
        return ReplicaLinks(self._network, node, name, self._oracle, self._published_by).turn


class ReplicaLinks:
    """The connections of one replica."""

    def __init__(
        self,
        network: Network,
        node: AreaNode,
        name: str,
        oracle: PlaneOracle,
        published_by: Callable[[str], Assignment | None],
    ) -> None:
        self.network, self.node, self.name, self.oracle, self.published_by = network, node, name, oracle, published_by
        self.number = number_of(node.spec)
        """The number that the area has, or that its first grant will bring."""
        self.exchange = node.replica.links
        self.schema = node.replica.state.table.schema
        self.busy = False
        """Whether something happened since the last turn."""
        self._posted, self._due = Posted(), 0.0
        self._served: ServedLinks | None = None
        self._dialled: dict[int, DialledLink] = {}

    def turn(self, now: float) -> float:
        """Does what is due; returns when more is."""
        posted = self.exchange.board.posted
        if posted is self._posted and not self.busy and now < self._due:
            return self._due
        self._serve(posted)
        self._dial(posted)
        self.busy = False
        self._posted = posted
        ends = [*([self._served] if self._served else []), *self._dialled.values()]
        self._due = min([math.inf, *(end.turn(posted, now) for end in ends)])
        return self._due

    def _serve(self, posted: Posted) -> None:
        if self._served is not None and self._served.term != posted.term:
            self.network.remove(self._served.key)
            self._served = None
        if self._served is None and posted.term:
            self._served = ServedLinks(self, posted.term)

    def _dial(self, posted: Posted) -> None:
        wanted = areas_to_dial(posted, self._dialled) if posted.term else {}
        for number in self._dialled.keys() - wanted.keys():
            self.network.remove(self._dialled.pop(number).key)
        for number, cell in wanted.items():
            if cell is None:
                continue
            if number in self._dialled:
                self._dialled[number].redirect(cell)
            else:
                self._dialled[number] = DialledLink(self, cell)


class ServedLinks:
    """The connections that an active takes during one leadership."""

    def __init__(self, owner: ReplicaLinks, term: int) -> None:
        self._owner, self.term, self.key = owner, term, f"{owner.name}|links"
        self._ends: dict[str, ReceivingEnd] = {}
        self._waiting: dict[str, collections.deque[ReceivedEntry]] = {}
        endpoint = Endpoint(owner.name)
        endpoint.silence = SILENCE_SECONDS
        endpoint.down, endpoint.message = self._down, self._message
        owner.network.add(self.key, endpoint)

    def turn(self, posted: Posted, now: float) -> float:
        due = math.inf
        for peer, end in list(self._ends.items()):
            if not end.lasts(posted) or not self._admit(peer, end):
                self._close(peer)
                continue
            frame = end.due(posted, now)
            if frame is not None:
                if frame:
                    self._owner.oracle.acknowledges(self._owner.number, end.number, decode_to_sender(frame))
                self._owner.network.send(self.key, peer, frame)
            due = min(due, now + (ROOM_SECONDS if self._waiting[peer] else KEEPALIVE_SECONDS))
        return due

    def _admit(self, peer: str, end: ReceivingEnd) -> bool:
        """Admits the entries of a connection in their order, until one does not fit; returns False if it has to end."""
        waiting = self._waiting[peer]
        while waiting:
            admission = end.admit(waiting[0])
            if admission is not Admission.ADMITTED:
                return admission is Admission.FULL
            waiting.popleft()
        return True

    def _message(self, peer: str, frame: object) -> None:
        assert isinstance(frame, bytes)
        owner = self._owner
        owner.busy = True
        end = self._ends.get(peer)
        if end is not None:
            if (received := end.read(frame)) is not None:
                self._waiting[peer].append(received)
                if not self._admit(peer, end):
                    self._close(peer)
            return
        try:
            end = ReceivingEnd(frame, owner.exchange.board.posted, owner.exchange.arrivals, owner.schema)
        except LinkMessageError:
            owner.network.close(self.key, peer)
            return
        for other in [p for p, e in self._ends.items() if e.number == end.number]:
            self._close(other)
        self._ends[peer], self._waiting[peer] = end, collections.deque()

    def _close(self, peer: str) -> None:
        self._owner.network.close(self.key, peer)
        self._down(peer)

    def _down(self, peer: str) -> None:
        self._ends.pop(peer, None)
        self._waiting.pop(peer, None)


class DialledLink:
    """The connection of an active to the active of one other area, or the search for it."""

    def __init__(self, owner: ReplicaLinks, cell: Cell) -> None:
        self._owner, self.key = owner, f"{owner.name}|link|{cell.number}"
        self._search = ActiveSearch(cell, TIMING.retry)
        self._end: SendingEnd | None = None
        self._replica: Member | None = None
        """The replica that is dialled or connected; None during a pause."""
        self._until = 0.0
        endpoint = Endpoint(owner.name)
        endpoint.silence, endpoint.redial = SILENCE_SECONDS, lambda _refusals: 0.0
        endpoint.wants = lambda: frozenset({self._peer} if self._replica else ())
        endpoint.up, endpoint.down, endpoint.refused = self._up, self._down, self._refused
        endpoint.message = self._message
        owner.network.add(self.key, endpoint)
        self._next(owner.network.clock.now)

    @property
    def _peer(self) -> str:
        """The key of the endpoint that is dialled or connected."""
        return f"{self._replica.replica}|links" if self._replica else ""

    def redirect(self, cell: Cell) -> None:
        self._search.redirect(cell)

    def turn(self, posted: Posted, now: float) -> float:
        owner = self._owner
        if self._end is None:
            if now >= self._until:
                self._next(now)
            return self._until
        if not self._end.lasts(posted):
            owner.network.close(self.key, self._peer)
            self._ended(now)
            return self._until
        for frame in self._end.due(posted, now):
            if frame:
                entry = decode_to_receiver(frame)
                assert isinstance(entry, Entry)
                owner.oracle.sends(owner.number, self._search.cell.number, entry, owner.schema)
            owner.network.send(self.key, self._peer, frame)
        return now + KEEPALIVE_SECONDS

    def _next(self, now: float) -> None:
        """Dials the next replica; when all were tried, begins another round after a pause."""
        if self._replica is None:
            self._search.begin()
        self._replica = self._search.next()
        if self._replica is None:
            self._until = now + self._search.pause()
        else:
            self._until = now + TIMING.connect_timeout
            self._owner.network.schedule(now, self._owner.name)

    def _ended(self, now: float) -> None:
        assert self._replica is not None
        self._end = None
        self._search.lost(self._replica)
        self._next(now)

    def _refused(self, _peer: str) -> None:
        assert self._replica is not None
        named = self._owner.published_by(self._replica.replica)
        self._search.refused(() if named is None else named.replicas)
        self._owner.busy = True
        self._next(self._owner.network.clock.now)

    def _up(self, _peer: str) -> None:
        owner = self._owner
        owner.busy = True
        now, posted = owner.network.clock.now, owner.exchange.board.posted
        self._search.found()
        if not posted.term:
            owner.network.close(self.key, self._peer)
            self._ended(now)
            return
        self._end = SendingEnd(self._search.cell.number, posted, owner.exchange.arrivals, now)
        owner.network.send(self.key, self._peer, self._end.introduction)

    def _down(self, _peer: str) -> None:
        self._owner.busy = True
        self._ended(self._owner.network.clock.now)

    def _message(self, _peer: str, frame: object) -> None:
        assert isinstance(frame, bytes)
        self._owner.busy = True
        if self._end is not None:
            self._end.read(frame)
