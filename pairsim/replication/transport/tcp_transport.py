"""The wire of a group over TCP: authenticated links, kept warm, given up early.

The Raft thread polls all of a group's sockets and never blocks; names are resolved, connections made and
handshakes done in one short-lived thread per peer. Of two members the one with the smaller name dials.
"""

from __future__ import annotations

import collections
import contextlib
import os
import select
import threading
from collections.abc import Callable, Mapping

import structlog

from pairsim.replication.clock import monotonic
from pairsim.replication.raft.ports import SILENT_LINK_SECONDS, TransportHandler
from pairsim.replication.transport.channel import ChannelError, Hello
from pairsim.replication.transport.peer_port import Link, RefusedByPeerError, dial
from pairsim.settings import Timing

log = structlog.get_logger()

MAX_UNSENT_BYTES = 64 * 2**20
"""Never reached by who minds the backlog."""

_READ = 256 * 1024
_REFUSED_FIRST, _REFUSED = 0.002, 0.02


class _Peer:
    """One link in the Raft thread."""

    def __init__(self, name: str, link: Link) -> None:
        self.name, self.link = name, link
        self.heard = monotonic()
        self.unsent: collections.deque[memoryview] = collections.deque()
        self.unsent_bytes = 0
        link.sock.setblocking(False)

    def send(self, message: bytes) -> bool:
        """Sends or queues; False when the link is dead or hopelessly behind."""
        frame = memoryview(self.link.channel.seal(message))
        self.unsent.append(frame)
        self.unsent_bytes += len(frame)
        return self.flush() and self.unsent_bytes <= MAX_UNSENT_BYTES

    def flush(self) -> bool:
        """Sends what the socket takes; False when the link is dead."""
        try:
            while self.unsent:
                sent = self.link.sock.send(self.unsent[0])
                self.unsent_bytes -= sent
                if sent == len(self.unsent[0]):
                    self.unsent.popleft()
                else:
                    self.unsent[0] = self.unsent[0][sent:]
        except BlockingIOError:
            pass
        except OSError:
            return False
        return True

    def read(self) -> tuple[list[bytes], bool]:
        """Messages that are there, and whether the link still stands."""
        messages: list[bytes] = []
        try:
            while data := self.link.sock.recv(_READ):
                self.heard = monotonic()
                messages += map(bytes, self.link.channel.feed(data))
        except BlockingIOError:
            return messages, True
        except (OSError, ChannelError):
            pass
        return messages, False


def pause(refusals: int) -> float:
    """Seconds after so many refusals in a row: the peer is there, and may open the group within a message's time."""
    return float(min(_REFUSED_FIRST * 2 ** min(refusals, 10), _REFUSED))


class TcpWire:
    """See the module; `accept` is called by the peer port, the rest by the Raft thread."""

    def __init__(
        self,
        me: str,
        peers: Mapping[str, str],
        *,
        area: str,
        generation: int,
        secret: bytes,
        timing: Timing,
        superseded: Callable[[bytes], None],
    ) -> None:
        """Peers by name and address; `superseded` gets, in a poll, what a peer says of another generation."""
        self._me, self._peers = me, dict(peers)
        self._area, self._generation, self._secret = area, generation, secret
        self._timing, self._superseded = timing, superseded
        self._poll = select.poll()
        self._links: dict[str, _Peer] = {}
        self._by_fd: dict[int, _Peer] = {}
        self._arrived: collections.deque[tuple[str, Link]] = collections.deque()
        self._refusals: collections.deque[bytes] = collections.deque(maxlen=8)
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll.register(self._wake_fd, select.POLLIN)
        self._closed = threading.Event()
        self._door = threading.Lock()
        """Held to close, and by whoever comes in from another thread: a descriptor that is closed is soon another's."""
        self._lost = {name: threading.Event() for name in peers}
        self._handler: TransportHandler | None = None

    @property
    def closed(self) -> bool:
        """Whether it takes no links any more."""
        return self._closed.is_set()

    def start(self, handler: TransportHandler) -> None:
        """Begins to dial."""
        self._handler = handler
        for name in self._peers:
            if self._me < name:
                threading.Thread(target=self._keep_dialled, args=(name,), name=f"dial-{name}", daemon=True).start()

    def expects(self, peer: str) -> bool:
        """Whether a link from that process belongs here."""
        return peer in self._peers

    def accept(self, peer: str, link: Link) -> None:
        """Takes a link, dialled by either side. Any thread."""
        with self._door:
            if not self._closed.is_set():
                self._arrived.append((peer, link))
                os.eventfd_write(self._wake_fd, 1)
                return
        link.close()
        self._lost[peer].set()

    def send(self, peer: str, message: bytes) -> bool:
        """See `Wire`."""
        link = self._links.get(peer)
        if link is None:
            return False
        if not link.send(message):
            self._drop(link)
            return False
        self._watch(link)
        return True

    def backlog(self, peer: str) -> int:
        """See `Wire`."""
        link = self._links.get(peer)
        return link.unsent_bytes if link else 0

    def poll(self, timeout: float) -> None:
        """See `Wire`."""
        for fd, event in self._poll.poll(timeout * 1000):
            if fd == self._wake_fd:
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(self._wake_fd)
                continue
            link = self._by_fd.get(fd)
            if link is not None:
                self._serve(link, event)
        while self._arrived:
            self._take(*self._arrived.popleft())
        while self._refusals:
            self._superseded(self._refusals.popleft())
        now = monotonic()
        for link in [x for x in self._links.values() if now - x.heard > SILENT_LINK_SECONDS]:
            self._drop(link)

    def wake(self) -> None:
        """See `Wire`."""
        with self._door:
            if not self._closed.is_set():
                os.eventfd_write(self._wake_fd, 1)

    def close(self) -> None:
        """See `Wire`."""
        with self._door:
            if self._closed.is_set():
                return
            self._closed.set()
            self._poll.unregister(self._wake_fd)
            os.close(self._wake_fd)
        for event in self._lost.values():
            event.set()
        self._handler = None
        for link in list(self._links.values()):
            self._drop(link)
        while self._arrived:
            self._arrived.popleft()[1].close()

    # --- Raft thread

    def _serve(self, link: _Peer, event: int) -> None:
        alive = True
        if event & (select.POLLIN | select.POLLHUP | select.POLLERR):
            messages, alive = link.read()
            for message in messages:
                if self._handler is not None:
                    self._handler.on_message(link.name, message)
        if alive and event & select.POLLOUT:
            alive = link.flush()
        if not alive:
            self._drop(link)
        elif self._links.get(link.name) is link:
            self._watch(link)

    def _watch(self, link: _Peer) -> None:
        self._poll.register(link.link.sock, select.POLLIN | (select.POLLOUT if link.unsent else 0))

    def _take(self, name: str, link: Link) -> None:
        if old := self._links.get(name):
            self._drop(old)
        peer = self._links[name] = _Peer(name, link)
        self._by_fd[link.sock.fileno()] = peer
        self._watch(peer)
        if self._handler is not None:
            self._handler.on_up(name)

    def _drop(self, link: _Peer) -> None:
        if self._links.get(link.name) is not link:
            return
        del self._links[link.name], self._by_fd[link.link.sock.fileno()]
        self._poll.unregister(link.link.sock)
        link.link.close()
        self._lost[link.name].set()
        if self._handler is not None:
            self._handler.on_down(link.name)

    # --- one thread per peer that is ours to dial

    def _keep_dialled(self, name: str) -> None:
        hello = Hello(kind="raft", area=self._area, generation=self._generation, sender=self._me, receiver=name)
        refusals = 0
        while not self._closed.is_set():
            self._lost[name].clear()
            try:
                link = dial(self._peers[name], self._secret, hello, self._timing.connect_timeout)
            except RefusedByPeerError as refusal:
                if refusal.detail:
                    self._refusals.append(refusal.detail)
                    self.wake()
                self._closed.wait(pause(refusals))
                refusals += 1
                continue
            except (OSError, ChannelError) as error:
                log.debug("cannot reach a peer", peer=name, reason=str(error))
                self._closed.wait(self._timing.retry)
                continue
            refusals = 0
            self.accept(name, link)
            self._lost[name].wait()
