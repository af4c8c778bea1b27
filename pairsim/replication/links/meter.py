"""Measures what crosses the borders of an area, while this replica is the active.

The replica thread notes each computed tick and each committed state; any thread reads. What a leadership has sent and
taken of each other area is counted for as long as the process has the area.
"""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import msgspec

from pairsim.model.borders import AreaMap, BorderCounters, BorderState
from pairsim.model.crossings.border_status import (
    MARKS_KEPT,
    MAX_NEIGHBOURS,
    BorderStatus,
    Mark,
    NeighbourStatus,
    mark_spacing,
)
from pairsim.replication.clock import monotonic
from pairsim.replication.links.board import Posted
from pairsim.replication.measurements import Histogram

WINDOW_SECONDS = 4.0
"""Rates are those of so many seconds, or of those since the leadership began."""

_SAMPLE_SECONDS = 0.5
_REPORT_SECONDS = 0.1
"""Ages and rates in a report are at most so old."""

_LEAST_SECONDS = 0.9
"""A rate is 0 until it is known for so long."""


class _Counts(NamedTuple):
    """What had crossed at a time: of the whole area, and of each other area."""

    at: float
    sent: int
    taken: int
    sent_to: Mapping[int, int]
    taken_from: Mapping[int, int]


class _Computed(NamedTuple):
    """A computed state: its tick, and what a mark says of it; the clock is that of the state."""

    tick: int
    counts: Mark


class _Entries:
    """The messages in one outbox, with the times at which they were posted."""

    def __init__(self) -> None:
        self.last = 0
        self.posted: collections.deque[tuple[int, int, float]] = collections.deque()
        """The last sequence of what was posted at once, its entities, and the time."""

    def observe(self, posted: Posted, number: int, now: float, handovers: Histogram) -> int:
        """Notes the outbox of a committed state; returns how many entities are new in it."""
        outbox, added = posted.outbox(number), 0
        while self.posted and self.posted[0][0] < outbox.first:
            _last, rows, at = self.posted.popleft()
            handovers.observe(now - at, times=rows)
        if outbox.last > self.last:
            first = max(self.last + 1, outbox.first)
            added = sum(message.rows for message in outbox.entries[first - outbox.first :])
            self.posted.append((outbox.last, added, now))
            self.last = outbox.last
        return added


class _Leadership:
    """What belongs to one leadership.

    Attributes:
        state: The newest committed state; None before the first one.
        counts: What had crossed at times of the last seconds, oldest first.
        entries: The outboxes by area.
        exchanged: What had been sent and taken and what waited in the newest committed state, and since which clock.
        newest: The newest computed state.
        marks: The newest marks, oldest first; those of ticks that are not committed are among them.
    """

    def __init__(self) -> None:
        self.state: BorderState | None = None
        self.counts: collections.deque[_Counts] = collections.deque()
        self.entries: dict[int, _Entries] = {}
        self.exchanged, self.exchanged_clock = (-1, -1, -1), 0
        self.newest: _Computed | None = None
        self.marks: collections.deque[_Computed] = collections.deque(maxlen=2 * MARKS_KEPT)


class BorderMeter:
    """The measurements of one area's borders."""

    def __init__(self, tick_rate: float, handovers: Histogram, taken_from: Callable[[], dict[int, int]]) -> None:
        """Starts outside of a leadership.

        Args:
            tick_rate: The ticks per second of the area, and of its plane.
            handovers: Takes, of each entity that went to another area, the time from its post to the acknowledgement.
            taken_from: Returns the entities that came from each area, which only grow.
        """
        self._spacing, self._handovers, self._taken_from = mark_spacing(tick_rate), handovers, taken_from
        self._lock = threading.Lock()
        self._sent_to: dict[int, int] = {}
        self._leadership = _Leadership()
        self._touching: tuple[AreaMap, frozenset[int]] | None = None
        self._reported: tuple[BorderState, tuple[object, ...], BorderStatus] | None = None
        """The newest report: a process is asked for its status with every request."""

    def end(self) -> None:
        """Forgets what belongs to the leadership that ends. Any thread."""
        with self._lock:
            self._leadership = _Leadership()

    def on_computed(self, tick: int, entities: int, state: BorderState) -> None:
        """Notes the state after a computed tick, which may not be committed yet. Replica thread."""
        counters, clock = state.counters, state.clock
        mark = (clock - 1) // self._spacing * self._spacing
        with self._lock:
            known, before = self._leadership, self._leadership.newest
            if before is not None and before.counts.clock <= mark:
                at = msgspec.structs.replace(before.counts, clock=mark)
                known.marks.append(_Computed(before.tick, at))
            known.newest = _Computed(tick, Mark(clock, counters.born, counters.died, entities, state.waiting))

    def on_posted(self, state: BorderState, before: Posted, posted: Posted) -> None:
        """Notes a committed state. Replica thread."""
        now = monotonic()
        with self._lock:
            known = self._leadership
            first, known.state = known.state is None, state
            changed = {n for n, link in posted.links.items() if before.outbox(n) is not link.outbox}
            for number in changed:
                entries = known.entries.setdefault(number, _Entries())
                added = entries.observe(posted, number, now, self._handovers)
                self._sent_to[number] = self._sent_to.get(number, 0) + (0 if first else added)
            counters = state.counters
            exchanged = counters.sent, counters.taken, state.waiting
            if exchanged != known.exchanged:
                known.exchanged, known.exchanged_clock = exchanged, state.clock
            if not known.counts or now - known.counts[-1].at >= _SAMPLE_SECONDS:
                known.counts.append(self._count(now, counters))
                while len(known.counts) > 1 and now - known.counts[1].at >= WINDOW_SECONDS:
                    known.counts.popleft()

    def report(self, committed: int, connected: Iterable[int]) -> BorderStatus | None:
        """Returns what the active says of its borders; None outside of a leadership.

        Args:
            committed: The newest committed tick.
            connected: The areas to which there is a connection.
        """
        now, links = monotonic(), frozenset(connected)
        with self._lock:
            known, state = self._leadership, self._leadership.state
            if state is None:
                return None
            asked = committed, links, int(now / _REPORT_SECONDS)
            if self._reported is not None and self._reported[:2] == (state, asked):
                return self._reported[2]
            counts, earlier = self._count(now, state.counters), known.counts[0]
            marks = [mark.counts for mark in known.marks if mark.tick <= committed][-MARKS_KEPT:]
            oldest = {n: entries.posted[0][2] for n, entries in known.entries.items() if entries.posted}
            exchanged = known.exchanged_clock
        numbers = self._neighbours(state) | state.links.keys()
        neighbours = [
            _neighbour(state, number, counts, earlier, connected=number in links, posted_at=oldest.get(number))
            for number in sorted(numbers)
        ]
        neighbours.sort(key=lambda each: (-each.waiting, -each.out_per_second - each.in_per_second))
        counters = state.counters
        report = BorderStatus(
            **msgspec.structs.asdict(counters),
            waiting=state.waiting,
            queued=len(state.queue),
            out_per_second=_rate(counts.sent - earlier.sent, counts, earlier),
            in_per_second=_rate(counts.taken - earlier.taken, counts, earlier),
            clock=state.clock,
            exchanged=exchanged,
            neighbours=tuple(neighbours[:MAX_NEIGHBOURS]),
            marks=tuple(marks),
        )
        self._reported = state, asked, report
        return report

    def _neighbours(self, state: BorderState) -> frozenset[int]:
        """Returns the numbers of the areas whose cells touch that of the area: a map may have a thousand."""
        if self._touching is None or self._touching[0] is not state.map:
            numbers = frozenset(cell.number for cell in state.map.neighbours(state.number))
            self._touching = state.map, numbers
        return self._touching[1]

    def _count(self, now: float, counters: BorderCounters) -> _Counts:
        return _Counts(now, counters.sent, counters.taken, dict(self._sent_to), self._taken_from())


def _neighbour(
    state: BorderState, number: int, counts: _Counts, earlier: _Counts, *, connected: bool, posted_at: float | None
) -> NeighbourStatus:
    link, cell = state.links.get(number), state.map.cell(number)
    sent, taken = counts.sent_to.get(number, 0), counts.taken_from.get(number, 0)
    return NeighbourStatus(
        number=number,
        area=cell.area if cell is not None else "",
        connected=connected,
        waiting=link.rows if link is not None else 0,
        waiting_seconds=round(counts.at - posted_at, 1) if posted_at is not None else 0.0,
        out_per_second=_rate(sent - earlier.sent_to.get(number, 0), counts, earlier),
        in_per_second=_rate(taken - earlier.taken_from.get(number, 0), counts, earlier),
        sent=sent,
        taken=taken,
    )


def _rate(change: int, counts: _Counts, earlier: _Counts) -> float:
    seconds = counts.at - earlier.at
    return round(change / seconds, 1) if seconds >= _LEAST_SECONDS else 0.0
