"""The outboxes of an area in which entities wait for long; does no I/O.

A new active does not know how long something has waited. So a wait is over when its outbox is empty, or when all that
is in it was sent after the active became known.
"""

from __future__ import annotations

from typing import NamedTuple

from pairsim.model.crossings.border_status import NeighbourStatus
from pairsim.model.status import ReplicaStatus

RECHECK_SECONDS = 1.0
"""The time between two looks while an outbox waits: its end is not significant by itself after a takeover."""

_STATUS_SECONDS = 2.0
"""How much older than the look at it a status may be."""


class OutboxChange(NamedTuple):
    """An outbox waits, or waits no longer.

    Attributes:
        sentence: What happened.
        seconds: For how long it has waited.
        over: Whether the wait is over.
    """

    sentence: str
    seconds: float
    over: bool


class OutboxTracker:
    """The outboxes of one area. Times are seconds of a clock that never goes back."""

    def __init__(self) -> None:
        self._since: dict[int, tuple[float, str]] = {}
        self._term = -1
        self._term_since = 0.0
        self._seen_at = 0.0

    @property
    def due_at(self) -> float | None:
        """When `observe` has to be called although nothing changes; None if it need not be."""
        return self._seen_at + RECHECK_SECONDS if self._since else None

    def observe(self, active: ReplicaStatus | None, now: float) -> list[OutboxChange]:
        """Takes in the newest status of the active; returns what changed."""
        self._seen_at = now
        if active is None or active.borders is None:
            return []
        if active.simulator is not None and active.simulator.stands_still:
            return []  # it is this area that takes nothing, not its neighbours
        if active.term != self._term:
            self._term, self._term_since = active.term, now
        found = []
        neighbours = {each.number: each for each in active.borders.neighbours}
        for number, neighbour in neighbours.items():
            if neighbour.stalled and number not in self._since:
                self._since[number] = now - neighbour.waiting_seconds, neighbour.name
                found.append(OutboxChange(neighbour.stalled, neighbour.waiting_seconds, over=False))
        for number, (since, name) in tuple(self._since.items()):
            if self._is_over(neighbours.get(number), max(since, self._term_since), now):
                del self._since[number]
                seconds = now - since
                found.append(OutboxChange(f"entities go to {name} again after {seconds:.0f} s", seconds, over=True))
        return found

    @staticmethod
    def _is_over(neighbour: NeighbourStatus | None, since: float, now: float) -> bool:
        if neighbour is None or not (neighbour.waiting or neighbour.waiting_seconds):
            return True
        return now - neighbour.waiting_seconds > since + _STATUS_SECONDS
