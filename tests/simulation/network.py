"""A network in virtual time: FIFO links that stall while cut, break after silence, and close with a crash."""

from __future__ import annotations

import collections
import heapq
import math
import random
from collections.abc import Callable, Iterator

from pairsim.replication.raft.ports import SILENT_LINK_SECONDS, TransportHandler
from pairsim.replication.transport.tcp_transport import redial_delay

_UNREACHABLE = 0.05


class Clock:
    """The time of a run, in seconds."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Pipe:
    """One direction of a link."""

    def __init__(self) -> None:
        self.queue: collections.deque[tuple[float, object]] = collections.deque()
        self.heard = 0.0


class Link:
    """A connection between two endpoints; `ends` are keys of the net."""

    def __init__(self, ends: tuple[str, str], now: float) -> None:
        self.ends = ends
        self.pipes = {ends[0]: Pipe(), ends[1]: Pipe()}
        """By receiver."""
        self.open = set(ends)
        for pipe in self.pipes.values():
            pipe.heard = now


class Endpoint:
    """An owner of links: a group's transport, one side of a state stream, or an end of links between areas.

    Attributes:
        silence: How long a link may be silent before it counts as dead.
        redial: Returns the pause after so many refusals in a row.
    """

    def __init__(self, process: str) -> None:
        self.process = process
        self.silence = SILENT_LINK_SECONDS
        self.redial: Callable[[int], float] = redial_delay
        self.wants: Callable[[], frozenset[str]] = frozenset
        self.up: Callable[[str], None] = lambda _peer: None
        self.down: Callable[[str], None] = lambda _peer: None
        self.refused: Callable[[str], None] = lambda _peer: None
        self.message: Callable[[str, object], None] = lambda _peer, _message: None
        self.links: dict[str, Link] = {}


class Network:
    """All endpoints. Messages of one link keep their order; a cut is directional and holds processes apart."""

    def __init__(self, clock: Clock, rng: random.Random) -> None:
        self.clock, self.rng = clock, rng
        self.endpoints: dict[str, Endpoint] = {}
        self._of_process: collections.defaultdict[str, dict[str, Endpoint]] = collections.defaultdict(dict)
        self.cut: set[tuple[str, str]] = set()
        self.halted: set[str] = set()
        self.events: list[tuple[float, int, str]] = []
        self._serial, self._when = 0, 0.0
        self._retry: dict[tuple[str, str], float] = {}
        self._refusals: collections.Counter[tuple[str, str]] = collections.Counter()

    def schedule(self, when: float, process: str) -> None:
        """Plans a turn of the process at that time."""
        self._serial += 1
        heapq.heappush(self.events, (when, self._serial, process))

    def due(self, seconds: float) -> Iterator[str]:
        """Lets time pass, and yields the process of each event when its time has come."""
        end = self.clock.now + seconds
        while self.events and self.events[0][0] <= end:
            when, _serial, name = heapq.heappop(self.events)
            self.clock.now = max(self.clock.now, when)
            self._when = when
            yield name
        self.clock.now = end

    def turn(self, name: str, turn: Callable[[float], None]) -> None:
        """Calls the turn of a process that is due, unless it is halted: one turn serves all its events that are due."""
        if name in self.halted:
            return
        while self.events and self.events[0][2] == name and self.events[0][0] <= max(self._when, self.clock.now):
            heapq.heappop(self.events)
        turn(self.clock.now)

    def add(self, key: str, endpoint: Endpoint) -> None:
        self.endpoints[key] = self._of_process[endpoint.process][key] = endpoint

    def remove(self, key: str) -> None:
        """Closes the endpoint's sockets; the other side sees it a moment later, unless a cut is between."""
        endpoint = self.endpoints.pop(key, None)
        if endpoint is None:
            return
        del self._of_process[endpoint.process][key]
        for peer, link in endpoint.links.items():
            link.open.discard(key)
            link.pipes[key].queue.clear()
            other = self.endpoints.get(peer)
            if other is not None:
                self.schedule(self.clock.now + 0.0005, other.process)
        endpoint.links = {}

    def remove_all(self, process: str) -> None:
        """Closes all endpoints of a process."""
        for key in list(self._of_process[process]):
            self.remove(key)

    def close(self, key: str, peer: str) -> None:
        """Closes one link of an endpoint; the other side sees it when it has received what was sent before."""
        link = self.endpoints[key].links.pop(peer)
        link.open.discard(key)
        link.pipes[key].queue.clear()
        other = self.endpoints.get(peer)
        if other is not None:
            self.schedule(self.clock.now + 0.0005, other.process)

    def break_all(self, process: str, kind: str) -> None:
        """Breaks all links of the endpoints of a process whose keys have this in them, with what is under way."""
        for key, endpoint in self._of_process[process].items():
            if kind in key:
                for peer, link in endpoint.links.items():
                    link.pipes[key].queue.clear()
                    link.pipes[peer].queue.clear()
                    link.open.discard(peer)
                    link.open.discard(key)
                    if peer in self.endpoints:
                        self.schedule(self.clock.now, self.endpoints[peer].process)
                self.schedule(self.clock.now, process)

    def send(self, key: str, peer: str, message: object) -> bool:
        endpoint = self.endpoints.get(key)
        link = endpoint.links.get(peer) if endpoint else None
        if link is None:
            return False
        pipe = link.pipes[peer]
        earliest = pipe.queue[-1][0] if pipe.queue else 0.0
        when = max(self.clock.now + self.rng.uniform(0.0001, 0.002), earliest)
        pipe.queue.append((when, message))
        if peer in self.endpoints:
            self.schedule(when, self.endpoints[peer].process)
        return True

    def backlog(self, key: str, peer: str) -> int:
        """Returns the bytes that are under way."""
        endpoint = self.endpoints.get(key)
        link = endpoint.links.get(peer) if endpoint else None
        return sum(len(m) for _when, m in link.pipes[peer].queue if isinstance(m, bytes)) if link else 0

    def _passes(self, source: str, target: str) -> bool:
        return (source, target) not in self.cut

    def pump(self, process: str) -> set[str]:
        """Delivers arrived messages to a process; returns the endpoints that had an event."""
        busy = set()
        now = self.clock.now
        for key, endpoint in list(self._of_process[process].items()):
            happened = self._connect(key, endpoint)
            for peer, link in list(endpoint.links.items()):
                pipe = link.pipes[key]
                if pipe.queue or peer not in link.open or now - pipe.heard > endpoint.silence:  # seldom
                    happened |= self._deliver(key, endpoint, peer, link)
            if happened:
                busy.add(key)
        return busy

    def next_dial(self, process: str) -> float:
        """Returns when a process next tries a link that it wants and does not have."""
        now = self.clock.now
        times = [
            retry if (retry := self._retry.get((min(key, peer), max(key, peer)), 0.0)) > now else now + _UNREACHABLE
            for key, endpoint in self._of_process[process].items()
            for peer in endpoint.wants() - endpoint.links.keys()
        ]  # fmt: skip
        return min(times, default=math.inf)

    def _deliver(self, key: str, endpoint: Endpoint, peer: str, link: Link) -> bool:
        pipe, now, busy = link.pipes[key], self.clock.now, False
        other = peer.split("|", maxsplit=1)[0]
        if self._passes(other, endpoint.process):
            while pipe.queue and pipe.queue[0][0] <= now and endpoint.links.get(peer) is link:
                _when, message = pipe.queue.popleft()
                pipe.heard = now
                busy = True
                endpoint.message(peer, message)
            closed = peer not in link.open and not pipe.queue
        else:
            closed = False
        if endpoint.links.get(peer) is link and (closed or now - pipe.heard > endpoint.silence):
            del endpoint.links[peer]
            link.open.discard(key)
            endpoint.down(peer)
            busy = True
        return busy

    def _connect(self, key: str, endpoint: Endpoint) -> bool:
        made, links = False, endpoint.links
        for peer in sorted(peer for peer in endpoint.wants() if peer not in links):
            other = self.endpoints.get(peer)
            pair = (min(key, peer), max(key, peer))
            there = peer.split("|")[0]
            if (
                there in self.halted
                or self.clock.now < self._retry.get(pair, 0.0)
                or not self._passes(endpoint.process, there)
                or not self._passes(there, endpoint.process)
            ):
                continue
            if other is None:
                self._retry[pair] = self.clock.now + endpoint.redial(self._refusals[pair])
                self._refusals[pair] += 1
                endpoint.refused(peer)
                continue
            self._retry[pair] = self.clock.now + 0.1
            self._refusals[pair] = 0
            if key in other.links:  # the old connection was half open: the other side sees its end now
                other.links.pop(key).open.discard(peer)
                other.down(key)
            link = Link((key, peer), self.clock.now)
            endpoint.links[peer] = other.links[key] = link
            other.up(key)
            endpoint.up(peer)
            self.schedule(self.clock.now, other.process)
            made = True
        return made


class SimTransport:
    """A `Transport` over the network.

    Attributes:
        asleep: How long the last poll would wait for an event.
        woken: Whether the next wait was ended already.
    """

    def __init__(
        self,
        network: Network,
        me: str,
        peers: frozenset[str],
        area: str,
        generation: int,
        refused: Callable[[str], None],
    ) -> None:
        self._network, self.me, self._refused = network, me, refused
        self._suffix = f"raft|{area}|{generation}"
        self.endpoint = Endpoint(me)
        self._peers = peers
        self.asleep, self.woken = 0.0, False

    @property
    def key(self) -> str:
        """The key of its endpoint."""
        return self._key(self.me)

    def start(self, handler: TransportHandler) -> None:
        endpoint = self.endpoint
        wanted = frozenset(self._key(peer) for peer in self._peers if self.me < peer)
        endpoint.wants = lambda: wanted
        endpoint.refused = lambda key: self._refused(key.split("|")[0])
        endpoint.up = lambda key: handler.on_up(key.split("|")[0])
        endpoint.down = lambda key: handler.on_down(key.split("|")[0])
        endpoint.message = lambda key, message: handler.on_message(key.split("|")[0], bytes(message))  # type: ignore[call-overload]
        self._network.add(self.key, endpoint)

    def _key(self, name: str) -> str:
        return f"{name}|{self._suffix}"

    def send(self, peer: str, message: bytes) -> bool:
        return self._network.send(self.key, self._key(peer), message)

    def backlog(self, peer: str) -> int:
        return self._network.backlog(self.key, self._key(peer))

    def poll(self, timeout: float) -> None:
        """Returns at once: the world pumps, and turns the group again when this wait would be over."""
        self.asleep = 0.0 if self.woken else timeout
        self.woken = False

    def wake(self) -> None:
        self.woken = True
        self._network.schedule(self._network.clock.now, self.me)

    def close(self) -> None:
        self._network.remove(self.key)
