"""What has arrived from other areas and waits for a tick of the active.

An entry waits until the state says that it was taken, since a tick takes an entry only if there is room for it. When
the leadership ends, everything that waits is dropped: the outboxes at the other side still have it.

What waits is bounded for each link. An entry that finds its link full is refused, so that the thread which reads the
connection waits, and with it the other area's sending.
"""

from __future__ import annotations

import collections
import enum
import threading
from collections.abc import Callable, Mapping

from pairsim.model.borders import DEFAULT_LIMITS, Acknowledgement, Arrival, LinkMessage

MAX_WAITING_BYTES = 4 * 2**20
"""The most bytes that wait of one link; a single entry may be larger."""

MAX_RECORD_BYTES = 2**20
"""The most bytes of entries in the record of one tick; a single entry may be larger."""


MAX_ENTRY_BYTES = DEFAULT_LIMITS.bytes + DEFAULT_LIMITS.memory + 2**18
"""The most bytes of an entry: those of a bundle at its limits, with the sizes of its groups."""


class Admission(enum.Enum):
    """What became of an entry."""

    ADMITTED = "it waits for a tick, or it was taken before"
    FULL = "it does not fit now: offer it again"
    REFUSED = "this connection cannot go on"


class _Waiting:
    """The entries of one link, with consecutive sequences."""

    def __init__(self, taken: int) -> None:
        self.taken = taken
        self.messages: collections.deque[tuple[LinkMessage, int]] = collections.deque()
        self.bytes = 0

    @property
    def expected(self) -> int:
        return self.taken + len(self.messages) + 1

    def forget(self, taken: int) -> int:
        """Drops the entries that were taken; returns how many entities were in them."""
        rows = 0
        while self.taken < taken:
            self.taken += 1
            if self.messages:
                message, size = self.messages.popleft()
                self.bytes -= size
                rows += message.rows
        return rows


class Arrivals:
    """The entries and acknowledgements of all links of an area, during one leadership after the other.

    Threads that read connections put; the replica thread takes.
    """

    def __init__(self, taken: Callable[[int], int] = lambda _number: 0, limit: int = MAX_WAITING_BYTES) -> None:
        """Starts outside of a leadership, so that everything is refused.

        Args:
            taken: Returns the last sequence that the state has taken from an area.
            limit: The most bytes that wait of one link.
        """
        self._taken, self._limit = taken, limit
        self._lock = threading.Lock()
        self._open = False
        self._rows: dict[int, int] = {}
        self._waiting: dict[int, _Waiting] = {}
        self._acknowledgements: dict[int, Acknowledgement] = {}
        self._next_first = 0

    def begin(self) -> None:
        """Begins a leadership."""
        with self._lock:
            self._open = True

    def end(self) -> None:
        """Ends a leadership: drops everything that waits."""
        with self._lock:
            self._open = False
            self._waiting.clear()
            self._acknowledgements.clear()

    # --- threads of connections

    def put(self, number: int, sequence: int, message: LinkMessage, size: int) -> Admission:
        """Adds an entry of an area.

        It is refused outside of a leadership. So is one that would leave a gap: its connection sent the ones before it
        in an earlier leadership, which dropped them, and a new connection sends them again.

        Args:
            number: The number of the area.
            sequence: The sequence of the entry.
            message: Its content.
            size: The bytes that it takes in a record.
        """
        with self._lock:
            if not self._open:
                return Admission.REFUSED
            waiting = self._waiting.get(number)
            if waiting is None:
                waiting = self._waiting[number] = _Waiting(self._taken(number))
            if sequence > waiting.expected:
                return Admission.REFUSED
            if sequence < waiting.expected:
                return Admission.ADMITTED
            if waiting.messages and waiting.bytes + size > self._limit:
                return Admission.FULL
            waiting.messages.append((message, size))
            waiting.bytes += size
            return Admission.ADMITTED

    def acknowledge(self, number: int, acknowledgement: Acknowledgement) -> None:
        """Notes the newest acknowledgement of an area."""
        with self._lock:
            known = self._acknowledgements.get(number)
            if self._open and (known is None or known.clock < acknowledgement.clock):
                self._acknowledgements[number] = acknowledgement

    # --- any thread

    def rows_taken(self) -> dict[int, int]:
        """Returns the entities that came from each area, by number, in all leaderships."""
        with self._lock:
            return dict(self._rows)

    # --- replica thread

    def take(self, limit: int = MAX_RECORD_BYTES) -> list[Arrival]:
        """Returns the entries for the record of the next tick, as the state says what was taken.

        The links take turns to be first, so that a busy one does not keep the others out of the records.
        """
        found: list[Arrival] = []
        with self._lock:
            size = 0
            numbers = sorted(self._waiting)
            if numbers:
                self._next_first %= len(numbers)
                numbers = numbers[self._next_first :] + numbers[: self._next_first]
                self._next_first += 1
            for number in numbers:
                waiting = self._waiting[number]
                rows = waiting.forget(self._taken(number))
                if rows:
                    self._rows[number] = self._rows.get(number, 0) + rows
                for place, (message, added) in enumerate(waiting.messages):
                    if found and size + added > limit:
                        return found
                    found.append(Arrival(number, waiting.taken + place + 1, message))
                    size += added
        return found

    def take_acknowledgements(self) -> Mapping[int, Acknowledgement]:
        """Removes and returns the newest acknowledgement of each area."""
        with self._lock:
            taken, self._acknowledgements = self._acknowledgements, {}
        return dict(sorted(taken.items()))
