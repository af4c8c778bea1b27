"""The sending side of links: a connection to the active of each area that this one has entries for, or may have.

A thread for each other area looks for its active among the replicas that are known of it, sends the entries that are
due, and looks again when the connection breaks. A replica that is not the active refuses, and says who the members are
now: so the addresses follow a change of members even while nobody grants anything. Another thread reads the
acknowledgements.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import msgspec
import structlog

from pairsim.model.assignment import Assignment, Member
from pairsim.model.decode_errors import UNDECODABLE
from pairsim.replication.clock import monotonic
from pairsim.replication.links.arrivals import Arrivals
from pairsim.replication.links.board import Board
from pairsim.replication.links.messages import Introduction, LinkMessageError, decode_to_sender, encode_message
from pairsim.replication.links.outbox import OutboxCursor
from pairsim.replication.links.serving import KEEPALIVE_SECONDS, SILENCE_SECONDS
from pairsim.replication.transport.channel import ChannelError
from pairsim.replication.transport.dial import RefusedByPeerError, dial_with_any
from pairsim.replication.transport.key_exchange import Hello
from pairsim.replication.transport.peer_link import PeerLink
from pairsim.replication.transport.sockets import PeerError
from pairsim.replication.waiting import Wakeup, join
from pairsim.settings import Timing

log = structlog.get_logger()

KIND = "link"
"""The kind of these connections at the peer port."""

_JOIN_SECONDS = 5.0


class Destination(msgspec.Struct, frozen=True):
    """Another area: its number and name, and the replicas that are known of it."""

    number: int
    area: str
    replicas: tuple[Member, ...]


class LinkClient:
    """Keeps a connection to the active of one other area, while this replica is the active of its own."""

    def __init__(
        self,
        destination: Destination,
        board: Board,
        arrivals: Arrivals,
        *,
        number: int,
        me: str,
        secrets: Sequence[bytes],
        timing: Timing,
    ) -> None:
        """Starts the threads.

        Args:
            destination: The other area.
            board: The committed links of this area.
            arrivals: Takes the acknowledgements.
            number: The number of this area.
            me: The name of this process.
            secrets: The secrets of the world, in the order in which they are tried.
            timing: The limits of a connection attempt and the pause between two.
        """
        self._destination, self._board, self._arrivals = destination, board, arrivals
        self._number, self._me, self._secrets, self._timing = number, me, tuple(secrets), timing
        self._told: tuple[Member, ...] = ()
        """The replicas as a member of the area named them last."""
        self._closed = Wakeup()
        self._link: PeerLink | None = None
        self._thread = threading.Thread(target=self._run, name=f"link-to-{destination.area}", daemon=True)
        self._thread.start()

    def redirect(self, destination: Destination) -> None:
        """Looks for the active among these replicas from now on. Any thread."""
        self._destination, self._told = destination, ()

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._link is not None

    def close(self) -> None:
        """Ends the connection and the threads."""
        self._closed.set()
        link = self._link
        if link is not None:
            link.close()  # its reader ends then, and wakes the thread
        join(self._thread, _JOIN_SECONDS)

    def _run(self) -> None:
        while not self._closed.is_set():
            term = self._board.posted.term
            if term:
                for replica in self._candidates():
                    self._try(replica, term)
            self._closed.wait(self._timing.retry)

    def _candidates(self) -> list[Member]:
        """Returns the replicas to try, those that a member named first."""
        known = {member.peer: member for member in (*self._told, *self._destination.replicas)}
        return list(known.values())

    def _try(self, replica: Member, term: int) -> None:
        destination = self._destination
        hello = Hello(kind=KIND, area=destination.area, generation=0, sender=self._me, receiver=replica.replica)
        try:
            link = dial_with_any(replica.peer, self._secrets, hello, self._timing.connect_timeout)
        except RefusedByPeerError as refusal:
            self._told = _replicas(refusal.detail) or self._told
            return
        except (OSError, PeerError, ChannelError) as error:
            log.debug("link not made", area=destination.area, replica=replica.replica, reason=str(error))
            return
        self._use(link, term)

    def _use(self, link: PeerLink, term: int) -> None:
        """Sends entries over a connection until it breaks, or until this replica is not the active of the term."""
        cursor, lock, awake = OutboxCursor(), threading.Lock(), Wakeup()
        reader = threading.Thread(target=self._read, args=(link, cursor, lock, awake), name="link-reader", daemon=True)
        self._link = link
        self._board.watch(awake, self._destination.number)
        try:
            link.send(encode_message(Introduction(self._number)))
            reader.start()
            sent_at = monotonic()
            while reader.is_alive() and not self._closed.is_set() and self._board.posted.term == term:
                awake.clear()
                with lock:
                    due = cursor.due(self._board.posted.outbox(self._destination.number))
                for entry in due:
                    link.send(encode_message(entry))
                if due:
                    sent_at = monotonic()
                elif monotonic() > sent_at + KEEPALIVE_SECONDS:
                    link.send(b"")
                    sent_at = monotonic()
                else:
                    awake.wait(KEEPALIVE_SECONDS)
        except (OSError, ChannelError) as error:
            log.debug("link ended", area=self._destination.area, reason=str(error))
        finally:
            self._link = None
            self._board.unwatch(awake)
            link.close()
            if reader.is_alive():
                join(reader, _JOIN_SECONDS)

    def _read(self, link: PeerLink, cursor: OutboxCursor, lock: threading.Lock, awake: Wakeup) -> None:
        """Passes acknowledgements on until the connection breaks."""
        try:
            while True:
                data = link.receive(SILENCE_SECONDS)
                if data:
                    acknowledgement = decode_to_sender(data)
                    with lock:
                        cursor.on_acknowledgement(acknowledgement)
                    self._arrivals.acknowledge(self._destination.number, acknowledgement)
                    awake.set()  # there is room for more
        except (OSError, ChannelError, LinkMessageError) as error:
            log.debug("link ended", area=self._destination.area, reason=str(error))
        finally:
            link.close()
            awake.set()


def _replicas(detail: bytes) -> tuple[Member, ...]:
    """Returns the replicas that a refusal names; none if it names no members."""
    try:
        return msgspec.json.decode(detail, type=Assignment).replicas
    except UNDECODABLE:
        return ()
