"""Whether every entity of a plane is accounted for: those that were born have died, are in an area, or on their way.

At a mark (`border_status`) the states of all areas fit each other. There, of all areas together,

    0 <= born - died - present <= waiting in outboxes

since an outbox keeps an entity for a while after it has arrived. Fewer than 0 means that there are too many entities;
more than wait means that entities are missing. The difference itself is the number of entities on their way.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pairsim.model.crossings.border_status import BorderStatus, Mark


class Balance(msgspec.Struct, frozen=True):
    """The entities of a plane at one mark.

    Attributes:
        plane: The name of the plane.
        born: Entities that were populated and spawned so far.
        died: Entities that were removed so far.
        present: Entities in the tables of areas.
        on_their_way: Entities that have left one area and have not arrived in another one.
        unaccounted: How many entities are missing; negative if there are too many, and 0 if the balance holds.
    """

    plane: str
    born: int
    died: int
    present: int
    on_their_way: int
    unaccounted: int

    @property
    def sentence(self) -> str:
        """The balance as a sentence."""
        lives = f"{self.present:,} entities: {self.born:,} born, {self.died:,} died, {self.on_their_way:,} on their way"
        if not self.unaccounted:
            return lives
        return f"{lives}, {abs(self.unaccounted):,} {'missing' if self.unaccounted > 0 else 'too many'}"


def balance(plane: str, areas: Sequence[BorderStatus | None]) -> Balance | None:
    """Returns the balance of a plane at the newest mark that all of its areas have passed.

    Args:
        plane: The name of the plane.
        areas: The borders of each area, as its active reports them; None for an area that has no active.

    Returns:
        None if it is not known: an area has no active, or its clock is far from those of the others.
    """
    known = [area for area in areas if area is not None]
    if not known or len(known) < len(areas):
        return None
    clocks = {mark.clock for area in known for mark in area.marks}
    for clock in sorted(clocks, reverse=True) or [0]:
        found = [_at(area, clock) for area in known]
        marks = [mark for mark in found if mark is not None]
        if len(marks) == len(known):
            return _sum(plane, marks)
    return None


def _at(area: BorderStatus, clock: int) -> Mark | None:
    """Returns the state of an area that fits those of others at a mark; None if it is not known.

    Any state will do of an area that has exchanged nothing between it and the mark, or has no link at all.
    """
    for mark in reversed(area.marks):
        if mark.clock == clock or area.exchanged <= min(clock, mark.clock) <= max(clock, mark.clock) <= area.clock:
            return mark
    return area.marks[-1] if area.marks and not area.neighbours else None


def _sum(plane: str, marks: Sequence[Mark]) -> Balance:
    born, died = sum(mark.born for mark in marks), sum(mark.died for mark in marks)
    present = sum(mark.entities for mark in marks)
    absent = born - died - present
    on_their_way = min(max(0, absent), sum(mark.waiting for mark in marks))
    return Balance(plane, born, died, present, on_their_way, absent - on_their_way)
