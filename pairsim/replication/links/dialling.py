"""The sending side of a link: a connection to the active of another area.

A thread looks for the active among the replicas that are known of the area, sends the entries that are due, and looks
again when the connection breaks. A replica that is not the active refuses, and says who the members are now: so the
addresses follow a change of members even while nobody grants anything. Another thread reads the acknowledgements.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence

import msgspec
import structlog

from pairsim.model.assignment import Assignment, Member
from pairsim.model.authority import Cell
from pairsim.model.decode_errors import UNDECODABLE
from pairsim.replication.clock import monotonic
from pairsim.replication.links.arrivals import Arrivals
from pairsim.replication.links.board import Board, Posted
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


_FIRST_PAUSE_SECONDS = 0.02
"""The pause after the first look for the active; each further one is twice as long, up to `Timing.retry`."""


class LinkClient:
    """Keeps a connection to the active of one other area, while this replica is the active of its own."""

    def __init__(
        self,
        destination: Cell,
        board: Board,
        arrivals: Arrivals,
        *,
        me: str,
        secrets: Sequence[bytes],
        timing: Timing,
    ) -> None:
        """Starts the threads.

        Args:
            destination: The other area, with the replicas that are known of it.
            board: The committed links of this area.
            arrivals: Takes the acknowledgements.
            me: The name of this process.
            secrets: The secrets of the world, in the order in which they are tried.
            timing: The limits of a connection attempt and the pause between two.
        """
        self._destination, self._board, self._arrivals = destination, board, arrivals
        self._me, self._secrets, self._timing = me, tuple(secrets), timing
        self._told: tuple[Member, ...] = ()
        """The replicas as a member of the area named them last."""
        self._closed = Wakeup()
        self._link: PeerLink | None = None
        self._thread = threading.Thread(target=self._run, name=f"link-to-{destination.area}", daemon=True)
        self._thread.start()

    def redirect(self, destination: Cell) -> None:
        """Looks for the active among these replicas from now on. Any thread."""
        if destination.replicas != self._destination.replicas:
            self._told = ()
        self._destination = destination

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
        pause = _FIRST_PAUSE_SECONDS
        while not self._closed.is_set():
            if (term := self._board.posted.term) and self._try_all(term):
                pause = _FIRST_PAUSE_SECONDS
            self._closed.wait(pause)
            pause = min(2 * pause, self._timing.retry)

    def _try_all(self, term: int) -> bool:
        """Looks for the active among all known replicas, those that a member named first; returns whether it was found.

        A refusal may name more replicas, which are tried as well.
        """
        tried, found = set[str](), False
        while not self._closed.is_set():
            known = (*self._told, *self._destination.replicas)
            replica = next((member for member in known if member.peer not in tried), None)
            if replica is None:
                break
            tried.add(replica.peer)
            found |= self._try(replica, term)
        return found

    def _try(self, replica: Member, term: int) -> bool:
        """Uses a connection to a replica until it breaks; returns False if it made no connection."""
        destination = self._destination
        hello = Hello(kind=KIND, area=destination.area, generation=0, sender=self._me, receiver=replica.replica)
        try:
            link = dial_with_any(replica.peer, self._secrets, hello, self._timing.connect_timeout)
        except RefusedByPeerError as refusal:
            self._told = _replicas(refusal.detail) or self._told
            return False
        except (OSError, PeerError, ChannelError) as error:
            log.debug("link not made", area=destination.area, replica=replica.replica, reason=str(error))
            return False
        self._use(link, term)
        return True

    def _use(self, link: PeerLink, term: int) -> None:
        """Sends entries over a connection until it breaks, or until this replica is not the active of the term."""
        cursor, lock, awake = OutboxCursor(), threading.Lock(), Wakeup()
        reader = threading.Thread(target=self._read, args=(link, cursor, lock, awake), name="link-reader", daemon=True)
        self._link = link
        self._board.watch(awake, functools.partial(_has_more, number=self._destination.number))
        try:
            link.send(encode_message(Introduction(self._board.posted.number)))
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


def _has_more(before: Posted, after: Posted, *, number: int) -> bool:
    """Returns whether there is more to send to an area."""
    return before.outbox(number).last != after.outbox(number).last


def _replicas(detail: bytes) -> tuple[Member, ...]:
    """Returns the replicas that a refusal names; none if it names no members."""
    try:
        return msgspec.json.decode(detail, type=Assignment).replicas
    except UNDECODABLE:
        return ()
