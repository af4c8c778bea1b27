"""An area, its links and what a tick takes in: the data of the model of borders.

Space has one dimension, and areas have numbers. An area is a deterministic state machine: its pair of replicas is one
machine here that may lose a tick which was computed and not committed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

Cell = tuple[float, float]
"""The half-open interval that an area owns."""

Identity = tuple[int, int]
"""The area in which an entity was born, and a number: what it is, whatever its id. Only the checks know it."""


class Entity(NamedTuple):
    """A row of an area.

    Attributes:
        id: The number by which clients know it.
        birth: Its identity.
        x: Its position.
        parent: The id of the entity that it belongs to; 0 for none.
        version: The version of the map by which it last moved to another area.
        held_until: The tick before which it stays here, because an area refused it.
    """

    id: int
    birth: Identity
    x: float
    parent: int = 0
    version: int = 0
    held_until: int = 0


class Group(NamedTuple):
    """Entities that cross together: one without a parent here, and all that belong to it.

    `memory` are the commands that were applied to them.
    """

    rows: tuple[Entity, ...]
    memory: tuple[tuple[str, Answer], ...] = ()


class Batch(NamedTuple):
    """The groups that cross to one area in one tick, or those of such a batch that return."""

    groups: tuple[Group, ...]
    returned: bool = False

    @property
    def rows(self) -> tuple[Entity, ...]:
        """The entities of all groups."""
        return tuple(row for group in self.groups for row in group.rows)


class Order(NamedTuple):
    """A command that follows its entity. `origin` is the area that owes the client an answer."""

    command: str
    attempt: int
    entity: int
    origin: int


class Outcome(NamedTuple):
    """The answer to an order, on its way to the area that owes it."""

    command: str
    answer: Answer


class Message(NamedTuple):
    """An entry of an outbox, with the clock of the tick that wrote it, and what its area had taken on the way back."""

    body: Batch | Order | Outcome
    clock: int
    taken: int


class Answer(NamedTuple):
    """What an area has decided about a command.

    Attributes:
        kind: `applied`, `rejected`, `moved` (follow the entity to `area`; 0: the area does not know where it is), or
            `forwarded` (the area itself waits for the answer).
        attempt: The attempt that was answered.
        entity: The entity that the command is about.
        area: Where the entity went.
    """

    kind: str
    attempt: int
    entity: int
    area: int = 0


class Command(NamedTuple):
    """A command to an entity. `follows` says whether the client follows the entity by itself."""

    id: str
    attempt: int
    entity: int
    follows: bool = True


class Acknowledgement(NamedTuple):
    """How far an area has taken the messages of another one, and how many it had sent to it itself by then."""

    taken: int
    sent: int
    clock: int


class Grant(NamedTuple):
    """The authority of an area: its cell, and the cells of the plane, in one version."""

    version: int
    map: tuple[tuple[int, Cell], ...]


class Spawn(NamedTuple):
    """A command that creates an entity. An area answers it where it arrives."""

    id: str
    entity: Entity


class Inputs(NamedTuple):
    """All that a tick takes in: its record."""

    clocks: tuple[int, ...] = ()
    """Cuts that were ordered."""
    grants: tuple[Grant, ...] = ()
    acknowledgements: tuple[tuple[int, Acknowledgement], ...] = ()
    arrivals: tuple[tuple[int, int, Message], ...] = ()
    """Area, sequence and message."""
    spawns: tuple[Spawn, ...] = ()
    despawns: tuple[int, ...] = ()
    commands: tuple[Command, ...] = ()
    moves: tuple[tuple[int, float], ...] = ()
    """What the simulator does in this tick: ids and distances."""


class Departure(NamedTuple):
    """An entity left an area in the tick of this clock: for another area, or 0 if it died."""

    clock: int
    entity: int
    area: int

    @property
    def died(self) -> bool:
        """Whether the entity died."""
        return not self.area


class Sight(NamedTuple):
    """A frame of an area at this clock has an entity, at a position."""

    clock: int
    area: int
    x: float


class Frame(NamedTuple):
    """What an observer gets of an area: its entities, and the departures since the frame before."""

    area: int
    clock: int
    positions: dict[int, float]
    left: tuple[Departure, ...]


@dataclass
class Link:
    """What an area remembers about another one.

    Attributes:
        outbox: Messages by sequence that the other area may not have taken.
        sent: The last sequence that was sent.
        taken: The last sequence that was taken.
        waiting: Acknowledgements that do not count yet.
    """

    outbox: dict[int, Message] = field(default_factory=dict)
    sent: int = 0
    taken: int = 0
    waiting: tuple[Acknowledgement, ...] = ()

    def copy(self) -> Link:
        """Returns a copy that shares nothing that changes."""
        return Link(dict(self.outbox), self.sent, self.taken, self.waiting)

    def entities(self) -> int:
        """Returns how many entities wait in the outbox."""
        return sum(len(m.body.rows) for m in self.outbox.values() if isinstance(m.body, Batch))

    def batches(self) -> int:
        """Returns how many messages with groups wait in the outbox."""
        return sum(isinstance(m.body, Batch) for m in self.outbox.values())

    def orders(self) -> int:
        """Returns how many orders wait in the outbox."""
        return sum(isinstance(m.body, Order) for m in self.outbox.values())


@dataclass
class Area:
    """The replicated state of an area."""

    number: int
    version: int
    map: dict[int, Cell]
    clock: int = 0
    tick: int = 0
    rows: dict[int, Entity] = field(default_factory=dict)
    links: dict[int, Link] = field(default_factory=dict)
    window: dict[str, Answer] = field(default_factory=dict)
    """The newest answer to each command."""
    queue: tuple[int, ...] = ()
    """The entities without a parent that should cross and wait because of a limit, oldest first."""
    departures: tuple[Departure, ...] = ()
    """The newest departures, oldest first."""
    applied: tuple[str, ...] = ()
    """Commands in the order in which they were applied here. Only the checks read it."""
    born: int = 0
    died: int = 0
    sent: int = 0
    taken: int = 0
    """Entities that went to other areas, and that came or came back from there."""
    conflicts: int = 0
    """Entities that this area refused."""

    @property
    def left(self) -> tuple[Departure, ...]:
        """The departures of the newest tick."""
        return tuple(departure for departure in self.departures if departure.clock == self.clock)

    def copy(self) -> Area:
        """Returns a copy that shares nothing that changes."""
        return Area(
            self.number, self.version, dict(self.map), self.clock, self.tick, dict(self.rows),
            {number: link.copy() for number, link in self.links.items()},
            dict(self.window), self.queue, self.departures, self.applied, self.born, self.died, self.sent, self.taken,
            self.conflicts,
        )  # fmt: skip

    def link(self, number: int) -> Link:
        """Returns the link to another area, which begins when it is first needed."""
        return self.links.setdefault(number, Link())

    def owner(self, x: float) -> int:
        """Returns the number of the area that owns a position, as far as this area knows; 0 for none."""
        return next((number for number, (low, high) in self.map.items() if low <= x < high), 0)
