"""The messages of a link, and what a tick takes in of all links.

All groups that cross to one area in one tick are one `Bundle`: an array of ids, an array for each component, and where
one group ends and the next one begins. Commands that follow their entity, and the answers to them, are messages of
their own.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import xxhash

from pairsim.model.authority import AreaNumber, Authority
from pairsim.model.borders.answers import NO_MEMORY, Answer, CommandMemory
from pairsim.model.borders.entity_sets import Ids, IdSet
from pairsim.model.commands import Command
from pairsim.model.state.digest import digest_arrays
from pairsim.model.state.table_memory import Column

UNLIMITED_ROOM = 2**62
"""The room of a table that nothing limits."""

Clock = Annotated[int, msgspec.Meta(ge=0, lt=2**62)]
Sequence = Annotated[int, msgspec.Meta(ge=0, lt=2**62)]
Attempt = Annotated[int, msgspec.Meta(ge=1, lt=2**31)]


class Bundle:
    """Groups of entities on their way; each group is an entity without a parent and all that belong to it.

    Attributes:
        ids: The entities of all groups, group after group, int64 (k,).
        columns: Their components by name, (k,) or (k, width).
        sizes: The number of entities of each group, int64 (g,).
        version: The version of the map by which they left.
        memory: The commands that were applied to them.
        returned: Whether the area that they were sent to refused them.
    """

    __slots__ = ("columns", "ids", "memory", "returned", "sizes", "version")

    def __init__(
        self,
        ids: Ids,
        columns: Mapping[str, Column],
        sizes: Ids,
        *,
        version: int,
        memory: CommandMemory = NO_MEMORY,
        returned: bool = False,
    ) -> None:
        self.ids, self.columns, self.sizes = ids, columns, sizes
        self.version, self.memory, self.returned = version, memory, returned

    def __len__(self) -> int:
        return len(self.ids)

    def per_group(self, flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Returns for each group whether one of its entities is flagged, bool (g,)."""
        return np.logical_or.reduceat(flags, np.cumsum(self.sizes) - self.sizes)

    def groups(self, chosen: npt.NDArray[np.bool_], *, returned: bool = False) -> Bundle:
        """Returns some of the groups. Those that return leave their commands behind: their area knows them."""
        if chosen.all() and not returned:
            return self
        rows = np.repeat(chosen, self.sizes)
        ids = self.ids[rows]
        return Bundle(
            ids,
            {name: column[rows] for name, column in self.columns.items()},
            self.sizes[chosen],
            version=self.version,
            memory=NO_MEMORY if returned else self.memory.of(IdSet(ids)),
            returned=returned,
        )

    def digest(self) -> int:
        """Returns the xxh3 hash of the bundle."""
        arrays: list[npt.NDArray[np.generic]] = [self.ids, self.sizes, *self.columns.values()]
        head = msgspec.msgpack.encode((list(self.columns), self.version, self.returned, self.memory.digest()))
        return digest_arrays(len(self.ids), [np.frombuffer(head, np.uint8), *map(np.ascontiguousarray, arrays)])


class ForwardedCommand(msgspec.Struct, frozen=True, array_like=True, tag="command"):
    """A command that follows its entity over a link, in the place of a client that does not follow.

    Attributes:
        command: The command.
        attempt: One more than that of the area that sends it.
        origin: The area that owes the client an answer.
    """

    command: Command
    attempt: Attempt
    origin: AreaNumber


class ForwardedAnswer(msgspec.Struct, frozen=True, array_like=True, tag="answer"):
    """The answer to a forwarded command, on its way to the area that owes it.

    Attributes:
        key: The hash of the command's id.
        answer: The answer.
    """

    key: bytes
    answer: Answer


Body = Bundle | ForwardedCommand | ForwardedAnswer


class LinkMessage:
    """An entry of an outbox. It does not change.

    Attributes:
        body: The content.
        clock: The clock of the tick that wrote it.
        taken: What its area had taken on the way back by then.
    """

    def __init__(self, body: Body, clock: int, taken: int) -> None:
        self.body, self.clock, self.taken = body, clock, taken
        self.packed: bytes | None = None

    @property
    def rows(self) -> int:
        """The number of entities in the message."""
        return len(self.body) if isinstance(self.body, Bundle) else 0

    @functools.cached_property
    def digest(self) -> int:
        """The xxh3 hash of the message."""
        body = self.body.digest() if isinstance(self.body, Bundle) else msgspec.msgpack.encode(self.body)
        return xxhash.xxh3_64_intdigest(msgspec.msgpack.encode((body, self.clock, self.taken)))


class Acknowledgement(msgspec.Struct, frozen=True, array_like=True):
    """How far an area has taken the messages of another one, in its newest committed tick.

    Attributes:
        taken: The last sequence that it has taken.
        sent: The last sequence that it had sent on the way back.
        clock: The clock of its tick.
    """

    taken: Sequence
    sent: Sequence
    clock: Clock


class Arrival(NamedTuple):
    """A message that arrived from an area, with its sequence."""

    area: int
    sequence: int
    message: LinkMessage


class BorderInputs(NamedTuple):
    """All that a tick takes in over borders; part of the tick's record.

    Attributes:
        clocks: Clocks that the tick has to pass, because somewhere a cut was ordered.
        grants: Grants of authority, with the cells of the plane.
        acknowledgements: Acknowledgements by area.
        arrivals: Messages in the order in which they arrived.
        room: How many entities the table may have. The active decides it: memory differs between replicas.
    """

    clocks: tuple[int, ...] = ()
    grants: tuple[Authority, ...] = ()
    acknowledgements: tuple[tuple[int, Acknowledgement], ...] = ()
    arrivals: tuple[Arrival, ...] = ()
    room: int = UNLIMITED_ROOM
