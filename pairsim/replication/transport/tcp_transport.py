"""The transport of a Raft group over TCP: authenticated links that are redialled at once and dropped early.

The Raft thread polls the sockets of all links of a group and never blocks. Names are resolved, connections made and
handshakes done in one thread per dialled peer. Of two members, the one with the smaller name dials.
"""

from __future__ import annotations

import collections
import contextlib
import os
import select
import threading
from collections.abc import Callable, Mapping, Sequence

import structlog

from pairsim.replication.clock import monotonic
from pairsim.replication.raft.ports import SILENT_LINK_SECONDS, TransportHandler
from pairsim.replication.transport.channel import ChannelError
from pairsim.replication.transport.dial import RefusedByPeerError, UnprovenError, dial_with_any
from pairsim.replication.transport.key_exchange import Hello
from pairsim.replication.transport.peer_link import PeerLink
from pairsim.replication.transport.secret_mismatches import SecretMismatches
from pairsim.replication.waiting import Wakeup
from pairsim.settings import Timing

log = structlog.get_logger()

MAX_UNSENT_BYTES = 64 * 2**20
"""Hard cap of the unsent bytes to one peer; senders that respect `backlog()` stay below it."""

_READ_BYTES = 256 * 1024
_FIRST_REDIAL_SECONDS, _MAX_REDIAL_SECONDS = 0.002, 0.02


class _PeerConnection:
    """A link that the Raft thread polls, with the frames that its socket has not accepted yet."""

    def __init__(self, name: str, link: PeerLink) -> None:
        self.name, self.link = name, link
        self.last_received = monotonic()
        self.unsent: collections.deque[memoryview] = collections.deque()
        self.unsent_bytes = 0
        link.sock.setblocking(False)

    def send(self, message: bytes) -> bool:
        """Sends or queues a message; returns False if the link is dead or the peer too far behind."""
        frame = memoryview(self.link.channel.seal(message))
        self.unsent.append(frame)
        self.unsent_bytes += len(frame)
        return self.flush() and self.unsent_bytes <= MAX_UNSENT_BYTES

    def flush(self) -> bool:
        """Sends what the socket accepts; returns False if the link is dead."""
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
        """Returns the messages that have arrived, and whether the link is still alive."""
        messages: list[bytes] = []
        try:
            while data := self.link.sock.recv(_READ_BYTES):
                self.last_received = monotonic()
                messages += map(bytes, self.link.channel.feed(data))
        except BlockingIOError:
            return messages, True
        except (OSError, ChannelError):
            pass
        return messages, False


def redial_delay(refusals: int) -> float:
    """Returns the seconds to wait after `refusals` refusals in a row.

    The delays are short because the peer is alive and may open the group at any moment.
    """
    return float(min(_FIRST_REDIAL_SECONDS * 2 ** min(refusals, 10), _MAX_REDIAL_SECONDS))


class TcpTransport:
    """The links from one member of a Raft group to the others.

    The peer port calls `accept` from its own threads. All other methods belong to the Raft thread, except `wake`.
    """

    def __init__(
        self,
        me: str,
        peers: Mapping[str, str],
        *,
        area: str,
        generation: int,
        secrets: Sequence[bytes],
        timing: Timing,
        mismatches: SecretMismatches,
        superseded: Callable[[bytes], None],
    ) -> None:
        """Takes the addresses (host:port) of the peers by name.

        `mismatches` learns of each handshake that a peer ended at the proof of the secret, and of each new link.
        During `poll`, `superseded` gets the detail of each refusal that carries one: what a peer says about another
        generation.
        """
        self._me, self._peers = me, dict(peers)
        self._area, self._generation, self._secrets, self._mismatches = area, generation, tuple(secrets), mismatches
        self._timing, self._superseded = timing, superseded
        self._poll = select.poll()
        self._connections: dict[str, _PeerConnection] = {}
        self._by_fd: dict[int, _PeerConnection] = {}
        self._arrived: collections.deque[tuple[str, PeerLink]] = collections.deque()
        self._refusals: collections.deque[bytes] = collections.deque(maxlen=8)
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll.register(self._wake_fd, select.POLLIN)
        self._closed = Wakeup()
        self._wake_lock = threading.Lock()
        """Guards `_wake_fd` against closing while another thread writes: the system soon reuses a closed number."""
        self._lost = {name: threading.Event() for name in peers}
        self._handler: TransportHandler | None = None

    def redirect(self, addresses: Mapping[str, str]) -> None:
        """Dials peers of these names at these addresses from now on; other names are ignored. Any thread."""
        self._peers |= {name: address for name, address in addresses.items() if name in self._peers}

    @property
    def closed(self) -> bool:
        """Whether the transport was closed and accepts no links any more."""
        return self._closed.is_set()

    def start(self, handler: TransportHandler) -> None:
        """Starts to dial the peers with greater names."""
        self._handler = handler
        for name in self._peers:
            if self._me < name:
                threading.Thread(target=self._keep_dialled, args=(name,), name=f"dial-{name}", daemon=True).start()

    def expects(self, peer: str) -> bool:
        """Returns whether the process is a peer of this group."""
        return peer in self._peers

    def accept(self, peer: str, link: PeerLink) -> None:
        """Takes ownership of a link that either side dialled; closes it if the transport is closed. Any thread."""
        self._mismatches.on_success(self._area, peer)
        with self._wake_lock:
            if not self._closed.is_set():
                self._arrived.append((peer, link))
                os.eventfd_write(self._wake_fd, 1)
                return
        link.close()
        self._lost[peer].set()

    def send(self, peer: str, message: bytes) -> bool:
        """Sends or queues a message; returns False without a link, or if the link had to be dropped."""
        connection = self._connections.get(peer)
        if connection is None:
            return False
        if not connection.send(message):
            self._drop(connection)
            return False
        self._watch(connection)
        return True

    def backlog(self, peer: str) -> int:
        """Returns the number of unsent bytes to a peer."""
        connection = self._connections.get(peer)
        return connection.unsent_bytes if connection else 0

    def poll(self, timeout: float) -> None:
        """Waits up to `timeout` seconds for events, handles them, and drops links that were silent for too long."""
        for fd, event in self._poll.poll(timeout * 1000):
            if fd == self._wake_fd:
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(self._wake_fd)
                continue
            connection = self._by_fd.get(fd)
            if connection is not None:
                self._on_event(connection, event)
        while self._arrived:
            self._add(*self._arrived.popleft())
        while self._refusals:
            self._superseded(self._refusals.popleft())
        now = monotonic()
        for connection in [x for x in self._connections.values() if now - x.last_received > SILENT_LINK_SECONDS]:
            self._drop(connection)

    def wake(self) -> None:
        """Ends a `poll` that waits. Any thread."""
        with self._wake_lock:
            if not self._closed.is_set():
                os.eventfd_write(self._wake_fd, 1)

    def close(self) -> None:
        """Closes all links and stops dialling; the handler is not called any more."""
        with self._wake_lock:
            if self._closed.is_set():
                return
            self._closed.set()
            self._poll.unregister(self._wake_fd)
            os.close(self._wake_fd)
        for event in self._lost.values():
            event.set()
        self._handler = None
        for connection in list(self._connections.values()):
            self._drop(connection)
        while self._arrived:
            self._arrived.popleft()[1].close()

    # --- Raft thread

    def _on_event(self, connection: _PeerConnection, event: int) -> None:
        alive = True
        if event & (select.POLLIN | select.POLLHUP | select.POLLERR):
            messages, alive = connection.read()
            for message in messages:
                if self._handler is not None:
                    self._handler.on_message(connection.name, message)
        if alive and event & select.POLLOUT:
            alive = connection.flush()
        if not alive:
            self._drop(connection)
        elif self._connections.get(connection.name) is connection:
            self._watch(connection)

    def _watch(self, connection: _PeerConnection) -> None:
        self._poll.register(connection.link.sock, select.POLLIN | (select.POLLOUT if connection.unsent else 0))

    def _add(self, name: str, link: PeerLink) -> None:
        if old := self._connections.get(name):
            self._drop(old)
        connection = self._connections[name] = _PeerConnection(name, link)
        self._by_fd[link.sock.fileno()] = connection
        self._watch(connection)
        if self._handler is not None:
            self._handler.on_up(name)

    def _drop(self, connection: _PeerConnection) -> None:
        if self._connections.get(connection.name) is not connection:
            return
        del self._connections[connection.name], self._by_fd[connection.link.sock.fileno()]
        self._poll.unregister(connection.link.sock)
        connection.link.close()
        self._lost[connection.name].set()
        if self._handler is not None:
            self._handler.on_down(connection.name)

    # --- one thread per peer that this member dials

    def _keep_dialled(self, name: str) -> None:
        hello = Hello(kind="raft", area=self._area, generation=self._generation, sender=self._me, receiver=name)
        refusals = 0
        while not self._closed.is_set():
            self._lost[name].clear()
            try:
                link = dial_with_any(self._peers[name], self._secrets, hello, self._timing.connect_timeout)
            except RefusedByPeerError as refusal:
                if refusal.detail:
                    self._refusals.append(refusal.detail)
                    self.wake()
                self._closed.wait(redial_delay(refusals))
                refusals += 1
                continue
            except (OSError, ChannelError) as error:
                log.debug("dial failed", peer=name, reason=str(error))
                if isinstance(error, UnprovenError):
                    self._mismatches.on_failure(self._area, name)
                self._closed.wait(self._timing.retry)
                continue
            refusals = 0
            self.accept(name, link)
            self._lost[name].wait()
