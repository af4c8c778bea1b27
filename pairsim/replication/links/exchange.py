"""Between the links of an area's state and its connections: what a tick takes in, and what a committed state posts.

The replica thread begins and ends leaderships, takes the inputs of each record, and posts each committed state.
Outside of a leadership nothing waits and nothing is posted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from pairsim.model.borders import BorderInputs, BorderState, acknowledgement
from pairsim.model.borders.entity_sets import NO_IDS, Ids
from pairsim.model.borders.messages import UNLIMITED_ROOM
from pairsim.model.crossings.border_status import BorderStatus
from pairsim.replication.links.arrivals import MAX_RECORD_BYTES, MAX_WAITING_BYTES, Arrivals
from pairsim.replication.links.board import Board, LinkState, Posted
from pairsim.replication.links.conflicts import ConflictLog
from pairsim.replication.links.grants import GrantInbox
from pairsim.replication.links.meter import BorderMeter
from pairsim.replication.links.outbox import Outbox
from pairsim.replication.measurements import ReplicaMeasurements

DEFAULT_TICK_RATE = 20.0


def posted_links(state: BorderState, term: int, before: Posted) -> Posted:
    """Returns the links of a committed state.

    Args:
        state: The state.
        term: The term of the leadership that posts them.
        before: What was posted before; an outbox that did not change is taken from it.
    """
    links = {}
    for number, link in state.links.items():
        outbox = before.outbox(number)
        if (outbox.first, outbox.last) != (link.acknowledged + 1, link.sent):
            outbox = Outbox(link.acknowledged + 1, tuple(link.outbox.values()))
        links[number] = LinkState(outbox, acknowledgement(state, number))
    return Posted(term, state.clock, state.number, state.map, links)


class LinkConnection(Protocol):
    """A connection to another area."""

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""


class LinkExchange:
    """The links of one replica.

    Attributes:
        arrivals: What has arrived and waits for a tick.
        board: The links of the newest committed state.
        grants: The authority that waits for a tick.
        connections: The connections to other areas by number; replaced as a whole.
    """

    def __init__(
        self,
        state: Callable[[], BorderState],
        room: Callable[[], int] = lambda: UNLIMITED_ROOM,
        *,
        tick_rate: float = DEFAULT_TICK_RATE,
        measurements: ReplicaMeasurements | None = None,
        waiting: int = MAX_WAITING_BYTES,
        record: int = MAX_RECORD_BYTES,
    ) -> None:
        """Starts outside of a leadership.

        Args:
            state: Returns the borders after the newest computed tick. Any thread.
            room: Returns how many entities the table may have. Replica thread.
            tick_rate: The ticks per second of the area.
            measurements: Takes the times that handovers take.
            waiting: The most bytes of entries that wait of one link.
            record: The most bytes of entries in one record; a single entry may be larger.
        """
        self._state, self._room, self._record = state, room, record
        self.arrivals, self.board, self.grants = Arrivals(self._taken, waiting), Board(), GrantInbox()
        self.connections: Mapping[int, LinkConnection] = {}
        handovers = (measurements or ReplicaMeasurements()).handovers
        self._conflicts = ConflictLog()
        self._meter = BorderMeter(tick_rate, handovers, self.arrivals.rows_taken)

    def _taken(self, number: int) -> int:
        link = self._state().links.get(number)
        return 0 if link is None else link.taken

    def begin(self) -> None:
        """Begins a leadership."""
        self.arrivals.begin()

    def inputs(self) -> BorderInputs:
        """Returns what the next tick takes in over borders. An acknowledgement that was only repeated is not in it."""
        arrivals, state = tuple(self.arrivals.take(self._record)), self._state()
        acknowledged = self.arrivals.take_acknowledgements().items()
        return BorderInputs(
            grants=self.grants.take(state.version),
            acknowledgements=tuple((n, a) for n, a in acknowledged if n in state.links and state.links[n].learns(a)),
            arrivals=arrivals,
            room=self._room() if arrivals else UNLIMITED_ROOM,
        )

    def post(self, state: BorderState, term: int) -> None:
        """Posts the links of a committed state, unless they are posted already."""
        before = self.board.posted
        if before.term != term or before.clock < state.clock:
            posted = posted_links(state, term, before)
            self.board.post(posted)
            self._meter.on_posted(state, before, posted)

    def on_computed(self, tick: int, entities: int, state: BorderState, refused: Ids = NO_IDS) -> None:
        """Notes the state after a computed tick, how many entities it has, and which ones the tick refused."""
        self._meter.on_computed(tick, entities, state)
        self._conflicts.note(refused)

    def status(self, committed: int) -> BorderStatus | None:
        """Returns what crosses borders, as of the newest committed tick; None outside of a leadership. Any thread."""
        connected = [number for number, connection in self.connections.items() if connection.connected]
        return self._meter.report(committed, connected)

    def end(self) -> None:
        """Ends a leadership. Any thread; the replica thread calls it last."""
        self.arrivals.end()
        self.grants.clear()
        self.board.clear()
        self._meter.end()
