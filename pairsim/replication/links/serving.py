"""The receiving side of links: a connection of each area that sends entries to this one.

A thread reads a connection and admits its entries; it waits when an entry does not fit, and reads no further.
One more thread sends the acknowledgements of all connections, each when the committed state has a newer one.
"""

from __future__ import annotations

import threading

import structlog

from pairsim.model.borders.codec.columns import BorderCodecError
from pairsim.model.state.schema import Schema
from pairsim.replication.clock import monotonic
from pairsim.replication.links.arrivals import Admission, Arrivals
from pairsim.replication.links.board import Board, Posted
from pairsim.replication.links.ends import KEEPALIVE_SECONDS, ROOM_SECONDS, SILENCE_SECONDS, ReceivingEnd, says_more
from pairsim.replication.links.messages import LinkMessageError
from pairsim.replication.transport.channel import ChannelError
from pairsim.replication.transport.peer_link import PeerLink
from pairsim.replication.waiting import Wakeup, join, sleep

log = structlog.get_logger()

_JOIN_SECONDS = 5.0


class _Served:
    """A connection, and its end here."""

    def __init__(self, link: PeerLink, end: ReceivingEnd) -> None:
        self.link, self.end = link, end


class LinkServer:
    """Serves the connections of other areas to this replica while it is the active."""

    def __init__(self, area: str, board: Board, arrivals: Arrivals, schema: Schema) -> None:
        """Starts the thread that acknowledges.

        Args:
            area: The name of this area.
            board: The committed links of this area.
            arrivals: Takes the entries.
            schema: The components of the area's entities; those of an area that sends entities have to be the same.
        """
        self._area, self._board, self._arrivals, self._schema = area, board, arrivals, schema
        self._lock = threading.Lock()
        self._served: dict[int, _Served] = {}
        self._closed = False
        self._awake = Wakeup()
        board.watch(self._awake, self._has_acknowledgements)
        self._thread = threading.Thread(target=self._acknowledge_all, name="link-acks", daemon=True)
        self._thread.start()

    def serve(self, link: PeerLink) -> None:
        """Serves a connection until it breaks or this replica is not the active any more; blocks."""
        served: _Served | None = None
        try:
            first = link.receive(SILENCE_SECONDS)
            served = _Served(link, ReceivingEnd(first, self._board.posted, self._arrivals, self._schema))
            self._add(served)
            while self._admit(served, link.receive(SILENCE_SECONDS)):
                pass
        except BorderCodecError as error:
            log.warning("an area sends what this one cannot take", area=self._area, reason=str(error))
        except (OSError, ChannelError, LinkMessageError) as error:
            log.debug("link ended", area=self._area, reason=str(error))
        finally:
            link.close()
            if served is not None:
                self._remove(served)

    def close(self) -> None:
        """Ends all connections and the thread."""
        self._closed = True
        self._board.unwatch(self._awake)
        self._awake.set()
        with self._lock:
            served = list(self._served.values())
        for each in served:
            each.link.close()
        join(self._thread, _JOIN_SECONDS)

    def _has_acknowledgements(self, before: Posted, after: Posted) -> bool:
        return any(says_more(after.acknowledgement(n), before.acknowledgement(n)) for n in tuple(self._served))

    def _admit(self, served: _Served, data: bytearray) -> bool:
        """Admits an entry, and waits for room; returns False if the connection has to end."""
        received = served.end.read(data)
        if received is None:
            return True
        while (admission := served.end.admit(received)) is Admission.FULL:
            sleep(ROOM_SECONDS)
            if self._closed or not served.end.lasts(self._board.posted):
                return False
        return admission is Admission.ADMITTED

    def _add(self, served: _Served) -> None:
        """Replaces an earlier connection of the same area: of two, the sender knows only the newer one."""
        with self._lock:
            before, self._served[served.end.number] = self._served.get(served.end.number), served
        if before is not None:
            before.link.close()
        self._awake.set()  # the first acknowledgement says where to begin

    def _remove(self, served: _Served) -> None:
        with self._lock:
            if self._served.get(served.end.number) is served:
                del self._served[served.end.number]

    def _acknowledge_all(self) -> None:
        while not self._closed:
            self._awake.wait(KEEPALIVE_SECONDS)
            self._awake.clear()
            with self._lock:
                served = list(self._served.values())
            for each in served:
                self._acknowledge(each)

    def _acknowledge(self, served: _Served) -> None:
        """Sends the frame that is due over a connection, and ends one of an earlier leadership."""
        posted = self._board.posted
        if not served.end.lasts(posted):
            served.link.close()
            return
        try:
            if (frame := served.end.due(posted, monotonic())) is not None:
                served.link.send(frame)
        except (OSError, ChannelError) as error:
            log.debug("link ended", area=self._area, reason=str(error))
            served.link.close()
