"""What the active of an area reports of its borders, as a part of `GET /v1/status`.

Counts are those of the newest committed state. Rates and ages are measured by the process that is the active now.

A *mark* is a clock that all areas of a plane pass about once a second. The state of an area at a mark is that after its
last tick with a clock up to the mark. Clocks are Lamport clocks, so the states of all areas at one mark fit each other:
an entity that arrived in one of them has left another one. Sums over them are exact while entities cross.
"""

from __future__ import annotations

import msgspec


class NeighbourStatus(msgspec.Struct, frozen=True):
    """The link to one other area.

    Attributes:
        number: The number of the other area.
        area: Its name; empty if it has left the map.
        connected: Whether there is a connection to its active.
        waiting: Entities in the outbox for it: on their way, or arrived and not acknowledged yet.
        waiting_seconds: For how long the oldest message has been in the outbox.
        out_per_second: Entities that went there, a second, over the last seconds.
        in_per_second: Entities that came from there.
        sent: Entities that went there while this process was the active.
        taken: Entities that came from there while this process was the active.
    """

    number: int
    area: str = ""
    connected: bool = False
    waiting: int = 0
    waiting_seconds: float = 0.0
    out_per_second: float = 0.0
    in_per_second: float = 0.0
    sent: int = 0
    taken: int = 0

    @property
    def name(self) -> str:
        """How sentences call the other area."""
        return self.area or f"area number {self.number}, which has left the map"

    @property
    def stalled(self) -> str:
        """A sentence about an outbox from which nothing has been taken for `STALLED_SECONDS`; empty otherwise."""
        if self.waiting_seconds < STALLED_SECONDS:
            return ""
        what = f"{self.waiting:,} {'entity waits' if self.waiting == 1 else 'entities wait'}"
        if not self.waiting:
            what = "commands wait"
        why = "has taken nothing" if self.connected else "cannot be reached and has taken nothing"
        return f"{what} for {self.name}, which {why} for {self.waiting_seconds:.0f} s"


STALLED_SECONDS = 5.0
"""An outbox from which nothing has been taken for so long is worth a sentence. A takeover takes much less."""


class Mark(msgspec.Struct, frozen=True):
    """The entities of an area at a mark.

    Attributes:
        clock: The mark.
        born: Entities that were populated and spawned so far.
        died: Entities that were removed so far.
        entities: Entities in the table.
        waiting: Entities in the outboxes.
    """

    clock: int
    born: int
    died: int
    entities: int
    waiting: int


class BorderStatus(msgspec.Struct, frozen=True):
    """The borders of an area.

    Attributes:
        born: Entities that were populated and spawned since the area began.
        died: Entities that were removed.
        sent: Entities that went to other areas.
        taken: Entities that came from other areas, and those that came back.
        conflicts: Entities that this area refused, because their ids were taken.
        nowhere: Entities whose position is in no area.
        waiting: Entities in all outboxes.
        queued: Entities that should cross and wait in the table because of a limit.
        out_per_second: Entities that went to other areas, a second, over the last seconds.
        in_per_second: Entities that came from other areas.
        clock: The clock of the newest committed state.
        exchanged: The clock since which nothing has come, gone or been acknowledged.
        neighbours: The links, those in which most waits or crosses first; at most `MAX_NEIGHBOURS`.
        marks: The newest marks, oldest first.
    """

    born: int = 0
    died: int = 0
    sent: int = 0
    taken: int = 0
    conflicts: int = 0
    nowhere: int = 0
    waiting: int = 0
    queued: int = 0
    out_per_second: float = 0.0
    in_per_second: float = 0.0
    clock: int = 0
    exchanged: int = 0
    neighbours: tuple[NeighbourStatus, ...] = ()
    marks: tuple[Mark, ...] = ()


MAX_NEIGHBOURS = 32
MARKS_KEPT = 4


def mark_spacing(tick_rate: float) -> int:
    """Returns the clocks from one mark to the next: the ticks of one to two seconds, as a power of two."""
    return 1 << max(0, round(tick_rate) - 1).bit_length()
