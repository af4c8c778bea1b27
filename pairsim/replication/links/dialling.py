"""The sending side of a link: a connection to the active of another area.

A thread looks for the active among the replicas that are known of the area, sends the entries that are due, and looks
again when the connection breaks. Another thread reads the acknowledgements.

The map names the replicas of an area. A replica that is not the active refuses, and names the members as it knows them:
these are tried first, so that a search follows a change of members even while nobody grants anything. The replica whose
connection ended last is tried last: while its machine does not answer, another one has taken over.
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
from pairsim.replication.links.ends import KEEPALIVE_SECONDS, SILENCE_SECONDS, SendingEnd
from pairsim.replication.links.messages import LinkMessageError
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

FIRST_PAUSE_SECONDS = 0.02
"""The pause after the first round; each further one is twice as long, up to a limit."""


class ActiveSearch:
    """The search of one connection after the other."""

    def __init__(self, cell: Cell, longest_pause: float) -> None:
        """Starts with the replicas of a cell; `longest_pause` is the longest one between two rounds, in seconds."""
        self._cell, self._longest_pause = cell, longest_pause
        self._told: tuple[Member, ...] = ()
        """The replicas as a member of the area named them last."""
        self._tried: set[str] = set()
        self._left = ""
        self._pause = FIRST_PAUSE_SECONDS

    @property
    def cell(self) -> Cell:
        """The cell as the newest map has it."""
        return self._cell

    def redirect(self, cell: Cell) -> None:
        """Looks among the replicas of a newer map from now on. Any thread."""
        if cell.replicas != self._cell.replicas:
            self._told = ()
        self._cell = cell

    def begin(self) -> None:
        """Begins a round."""
        self._tried.clear()

    def next(self) -> Member | None:
        """Returns the next replica of the round to dial; None at its end."""
        left = [member for member in (*self._told, *self._cell.replicas) if member.peer not in self._tried]
        left.sort(key=lambda member: member.peer == self._left)
        if not left:
            return None
        self._tried.add(left[0].peer)
        return left[0]

    def refused(self, named: tuple[Member, ...]) -> None:
        """Notes the members that a refusal names, if any."""
        self._told = named or self._told

    def found(self) -> None:
        """Notes that there is a connection."""
        self._pause = FIRST_PAUSE_SECONDS

    def lost(self, replica: Member) -> None:
        """Notes that the connection to a replica ended."""
        self._left = replica.peer

    def pause(self) -> float:
        """Returns the seconds to wait before the next round."""
        pause = self._pause
        self._pause = min(2 * pause, self._longest_pause)
        return pause


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
        self._search = ActiveSearch(destination, timing.retry)
        self._board, self._arrivals = board, arrivals
        self._me, self._secrets, self._timing = me, tuple(secrets), timing
        self._closed = Wakeup()
        self._link: PeerLink | None = None
        self._thread = threading.Thread(target=self._run, name=f"link-to-{destination.area}", daemon=True)
        self._thread.start()

    def redirect(self, destination: Cell) -> None:
        """Looks for the active among these replicas from now on. Any thread."""
        self._search.redirect(destination)

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
            if term := self._board.posted.term:
                self._try_all(term)
            self._closed.wait(self._search.pause())

    def _try_all(self, term: int) -> None:
        """Looks for the active among all known replicas; a refusal may name more of them, which are tried as well."""
        self._search.begin()
        while not self._closed.is_set() and (replica := self._search.next()) is not None:
            self._try(replica, term)

    def _try(self, replica: Member, term: int) -> None:
        """Uses a connection to a replica until it breaks."""
        area = self._search.cell.area
        hello = Hello(kind=KIND, area=area, generation=0, sender=self._me, receiver=replica.replica)
        try:
            link = dial_with_any(replica.peer, self._secrets, hello, self._timing.connect_timeout)
        except RefusedByPeerError as refusal:
            self._search.refused(_replicas(refusal.detail))
            return
        except (OSError, PeerError, ChannelError) as error:
            log.debug("link not made", area=area, replica=replica.replica, reason=str(error))
            return
        self._search.found()
        self._use(link, term)
        self._search.lost(replica)

    def _use(self, link: PeerLink, term: int) -> None:
        """Sends entries over a connection until it breaks, or until this replica is not the active of the term."""
        posted = self._board.posted
        if posted.term != term:
            link.close()
            return
        end, awake = SendingEnd(self._search.cell.number, posted, self._arrivals, monotonic()), Wakeup()
        reader = threading.Thread(target=self._read, args=(link, end, awake), name="link-reader", daemon=True)
        self._link = link
        self._board.watch(awake, functools.partial(_has_more, number=self._search.cell.number))
        try:
            link.send(end.introduction)
            reader.start()
            while reader.is_alive() and not self._closed.is_set() and end.lasts(posted := self._board.posted):
                awake.clear()
                due = end.due(posted, monotonic())
                for frame in due:
                    link.send(frame)
                if not due:
                    awake.wait(KEEPALIVE_SECONDS)
        except (OSError, ChannelError) as error:
            log.debug("link ended", area=self._search.cell.area, reason=str(error))
        finally:
            self._link = None
            self._board.unwatch(awake)
            link.close()
            if reader.is_alive():
                join(reader, _JOIN_SECONDS)

    def _read(self, link: PeerLink, end: SendingEnd, awake: Wakeup) -> None:
        """Passes acknowledgements on until the connection breaks."""
        try:
            while True:
                end.read(link.receive(SILENCE_SECONDS))
                awake.set()  # there is room for more
        except (OSError, ChannelError, LinkMessageError) as error:
            log.debug("link ended", area=self._search.cell.area, reason=str(error))
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
