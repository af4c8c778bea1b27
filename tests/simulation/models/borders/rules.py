"""How areas exchange entities, and the commands to them: the rules, as data and as the decisions of `Rules`.

Areas are simulated apart, each by a pair that is one deterministic state machine here. A link is an ordered channel
from one area to another one, in which each message is taken exactly once: its outbox and its cursor belong to the
states of the two areas. An entity is simulated by one area, and crosses to another one over their link.

 1. Inputs. Everything that a tick takes in is in its record: grants, acknowledgements, arrivals, commands, the clock.
    What a tick computes leaves the process when the tick is committed, and not before.
 2. Cursor. Of a link, the next sequence alone is taken; any other message is ignored. An outbox is sent again and
    again, by the replica that leads, until it is acknowledged.
 3. Acknowledgement. An area acknowledges what it has taken in a committed tick, and says how many messages it had
    sent on the way back by then. An acknowledgement counts when these have been taken. So an entry stays in the
    outbox until its return, if there is one, has arrived.
 4. Crossing. At the end of a tick, an entity whose position another area owns goes into the outbox for this area:
    those first that wait longest, and of these the smallest id. At most `MOST_TRANSFERS` cross in one tick, and at most
    `MOST_WAITING` wait in an outbox, in at most `MOST_MESSAGES` messages; the others are simulated where they are. A
    single group may be larger than the first two limits.
 5. Groups. An entity crosses with all that belong to it, in one message, or not at all. The position of the one
    without a parent decides where to; each of them can keep the group here. An entity whose parent is somewhere else
    counts as one without a parent, and so does the smallest id of a ring of parents. All groups that cross to one area
    in one tick are one message, so that thousands of them cost a few arrays.
 6. Maps. An area that knows an older map than the one by which an entity came keeps the entity until it has learned
    more. Otherwise two areas with different maps would throw it to and fro. A position that nobody owns is not left.
 7. Refusal. A group is refused if the receiver has one of its ids, in its table or in an outbox. All refused groups of
    a message return in one message, and are held for `HELD_TICKS` ticks before they are tried again. Only the area that
    a group returned to holds it: ticks of different areas do not compare. An entry of the outbox for the sender does
    not count if the sender had taken it before: it is the entity itself that comes back. A message says for this what
    its area had taken when it was sent.
 8. Names. A spawn is refused if its id is in the table or in an outbox. With rules 3 and 7, a group that returns
    finds its ids free.
 9. Room. An area whose table has no room for all groups of a message does not take it, nor what stands behind it. They
    wait in the sender's outbox. Messages other than groups need no room.
10. Clocks. The clock of a record is larger than the one before, and at least as large as that of everything that the
    tick takes in, messages and acknowledgements alike. The state of an area at a cut W is the one after its last tick
    with a clock of at most W. An area that is asked for W passes W in its next tick.
11. Commands. `moved` is an answer like `applied`, in the state. An area that answered attempt k of a command ignores
    every attempt <= k, and one that applied or rejected it ignores every other attempt. A client that goes to another
    area counts an attempt more than the area that it asked before, or than the answer that it got.
12. Memory. An entity takes the ids of the commands that were applied to it along. So a command is applied once even
    if its client goes to another area without an answer.
13. Orders. For a client that does not follow, the area follows: it sends the command behind the entity, over the same
    link, and waits. Each area that the order reaches counts an attempt more. The one that applies it, or that does
    not know where the entity is, sends the answer to the area that the client asked. An area that applies an order
    answers it at the end of the tick, when it knows whether the simulator rejected the command. At most `MOST_ORDERS`
    orders wait in an outbox; then the area answers `moved`.
14. Observers. A frame shows an area at its clock, and names every entity that left since the frame before, with the
    clock of the tick, and whether it moved or died: also an entity that came after the frame before. An observer of
    several areas shows an entity as the frame of the largest clock does that has it. A frame from before an entity
    left, in any area, does not count for it. An entity that moved is shown where it was until a frame has it; one
    that died is gone.

Limits. Two entities with one id, in different areas, are the clients' doing: a command to this id reaches the one
that is in the area that the command reaches. Of the entities that left, by whatever way, an area remembers those of the
newest ticks: as many ticks as have at most `MOST_DEPARTED` of them together, and at least the newest one. Of the
acknowledgements of a link that do not count yet, an area keeps those that say more than another one, and at most
`MOST_ACKNOWLEDGEMENTS`; the other area repeats its newest one.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.simulation.models.borders.state import (
    Acknowledgement,
    Answer,
    Area,
    Batch,
    Command,
    Departure,
    Entity,
    Grant,
    Group,
    Inputs,
    Link,
    Message,
    Sight,
)

MOST_TRANSFERS = 3
MOST_WAITING = 5
MOST_MESSAGES = 3
MOST_ROWS = 14
MOST_DEPARTED = 8
MOST_ORDERS = 4
MOST_ACKNOWLEDGEMENTS = 3
HELD_TICKS = 6
FINAL = frozenset({"applied", "rejected"})
"""The answers after which no attempt of a command counts."""

MOST_ATTEMPTS = 12
"""The attempt at which an area gives up following an entity."""


class Rules:
    """The decisions of an area. Each planted fault overrides one of them."""

    def takes(self, link: Link, sequence: int) -> bool:
        """Returns whether a message is the next one."""
        return sequence == link.taken + 1

    def has_room(self, area: Area, batch: Batch) -> bool:
        """Returns whether groups fit into the table. Those that return always do: they had their place here."""
        return batch.returned or len(area.rows) + len(batch.rows) <= MOST_ROWS

    def acknowledges(self, committed: Area, computed: Area) -> Area:
        """Returns the state whose cursors are acknowledged: the committed one."""
        return committed

    def counts(self, link: Link, acknowledgement: Acknowledgement) -> bool:
        """Returns whether an acknowledgement counts now."""
        return link.taken >= acknowledgement.sent

    def clock(self, area: Area, inputs: Inputs) -> int:
        """Returns the clock of the next record."""
        seen = [m.clock for _, _, m in inputs.arrivals] + [a.clock for _, a in inputs.acknowledgements]
        return max([max([area.clock, *inputs.clocks]) + 1, *seen])

    def learns(self, area: Area, grant: Grant) -> bool:
        """Returns whether a grant is newer than what the area knows."""
        return grant.version > area.version

    def leaves_for(self, area: Area, root: Entity, group: Group) -> int:
        """Returns the area to which a group should go; 0 to stay. One member that has to stay keeps all."""
        owner = area.owner(root.x)
        stays = any(self.is_ahead(area, row) or area.tick < row.held_until for row in group.rows)
        return owner if owner != area.number and not stays else 0

    def is_ahead(self, area: Area, row: Entity) -> bool:
        """Returns whether an entity came by a newer map than this area knows."""
        return row.version > area.version

    def may_cross(self, crossed: int, waiting: int, group: Group) -> bool:
        """Returns whether a group may cross, after so many entities in this tick, to so many that wait there."""
        first = not crossed or crossed + len(group.rows) <= MOST_TRANSFERS
        return first and (not waiting or waiting + len(group.rows) <= MOST_WAITING)

    def is_open(self, link: Link) -> bool:
        """Returns whether another message with groups may wait in an outbox."""
        return link.batches() < MOST_MESSAGES

    def in_order(self, area: Area, roots: list[int]) -> list[int]:
        """Returns the entities without a parent in the order in which they may cross."""
        places = {entity: place for place, entity in enumerate(area.queue)}
        return sorted(roots, key=lambda entity: (places.get(entity, len(places)), entity))

    def members(self, area: Area, root: Entity) -> tuple[Entity, ...]:
        """Returns an entity and all that belong to it, in the order of the table."""
        found = {root.id}
        while True:
            more = {row.id for row in area.rows.values() if row.parent in found} - found
            if not more:
                return tuple(row for row in area.rows.values() if row.id in found)
            found |= more

    def refuses(self, area: Area, number: int, message: Message, group: Group) -> bool:
        """Returns whether one of the ids of a group is taken here."""
        ids = {row.id for row in group.rows}
        if not ids.isdisjoint(area.rows):
            return True
        return any(
            not ids.isdisjoint(waiting_ids(link, after=message.taken if other == number else 0))
            for other, link in area.links.items()
        )

    def held(self, area: Area, row: Entity) -> Entity:
        """Returns an entity that another area refused."""
        return row._replace(held_until=area.tick + HELD_TICKS)

    def may_spawn(self, area: Area, entity: int) -> bool:
        """Returns whether an id is free."""
        return entity not in area.rows and not any(entity in waiting_ids(link) for link in area.links.values())

    def is_new(self, known: Answer | None, command: Command) -> bool:
        """Returns whether an attempt was not answered before."""
        return known is None or (known.kind not in FINAL and command.attempt > known.attempt)

    def whereabouts(self, area: Area, entity: int) -> int:
        """Returns where an entity went; 0 if it died or if the area does not know."""
        return next((d.area for d in reversed(area.departures) if d.entity == entity), 0)

    def may_forward(self, link: Link) -> bool:
        """Returns whether an order may be sent behind its entity."""
        return link.orders() < MOST_ORDERS

    def moved(self, area: Area, row: Entity) -> Entity:
        """Returns an entity as it leaves an area."""
        return row._replace(version=area.version, held_until=0)

    def answers_when_forwarding(self, command: Command, there: int) -> Answer:
        """Returns what an area notes about a command that it sends behind the entity."""
        return Answer("forwarded", command.attempt, command.entity, there)

    def memory(self, area: Area, group: Group) -> tuple[tuple[str, Answer], ...]:
        """Returns the commands that were applied to the entities of a group, or rejected."""
        ids = {row.id for row in group.rows}
        return tuple((c, a) for c, a in area.window.items() if a.kind in FINAL and a.entity in ids)

    def named(self, shown: frozenset[int], left: tuple[Departure, ...]) -> tuple[Departure, ...]:
        """Returns the departures that a frame names, after a frame that showed these entities."""
        return left

    def sight(self, sights: Sequence[Sight], newest: Departure | None) -> Sight | None:
        """Returns which frame shows an entity; None if none does.

        Args:
            sights: The newest frames of all areas that have the entity, in the order of their arrival.
            newest: Its newest departure that the observer knows.
        """
        valid = [s for s in sights if newest is None or s.clock >= newest.clock]
        return max(valid, default=None)

    def stays_in_sight(self, departure: Departure) -> bool:
        """Returns whether an entity that left is shown until a frame has it."""
        return not departure.died

    def sends(self, committed: Area, computed: Area) -> Area:
        """Returns the state whose outboxes are sent: the committed one."""
        return committed


def waiting_ids(link: Link, *, after: int = 0) -> set[int]:
    """Returns the ids of the entities in an outbox, in messages after this sequence."""
    bodies = (m.body for sequence, m in link.outbox.items() if sequence > after)
    return {row.id for body in bodies if isinstance(body, Batch) for row in body.rows}
