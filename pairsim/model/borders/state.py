"""What an area remembers for the exchange of entities, beside its table; a part of its replicated state.

A node copies the state before each tick, since a tick may be computed and never committed. A copy is cheap: it shares
what does not change.
"""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt
import xxhash

from pairsim.model.borders.answers import AnswerWindow
from pairsim.model.borders.area_map import AreaMap
from pairsim.model.borders.departures import Departures
from pairsim.model.borders.entity_sets import NO_IDS, EntityNumbers, Ids
from pairsim.model.borders.limits import DEFAULT_LIMITS, BorderLimits
from pairsim.model.borders.link import Link
from pairsim.model.borders.messages import Acknowledgement, Body, LinkMessage

_NO_LINK = Link()


class BorderCounters(msgspec.Struct, array_like=True):
    """What happened at the borders of an area since it began.

    Attributes:
        born: Entities that were populated and spawned.
        died: Entities that were removed.
        sent: Entities that went to other areas.
        taken: Entities that came from other areas, and those that came back.
        conflicts: Entities that this area refused, because their ids were taken.
        nowhere: The entities of the table whose position was in no cell after the newest tick.
    """

    born: int = 0
    died: int = 0
    sent: int = 0
    taken: int = 0
    conflicts: int = 0
    nowhere: int = 0


class BorderState:
    """The replicated state of an area's borders.

    Attributes:
        number: The number of the area; 0 until its first grant brings it.
        limits: The bounds; not part of the digest.
        clock: The clock of the newest record.
        map: The cells that the area knows, in one version.
        links: What it remembers about other areas, by number.
        ahead: The entities that came by a newer map than the area knows, with the version of that map.
        held: The entities that another area refused, with the tick before which they stay.
        queue: The entities without a parent that should cross and wait because of a limit, oldest first.
        answers: The newest answers to commands.
        departures: The entities that left in the newest ticks.
        counters: What happened so far.
    """

    def __init__(self, number: int = 0, *, born: int = 0, limits: BorderLimits = DEFAULT_LIMITS) -> None:
        """Begins the state of a new area.

        Args:
            number: The number of the area; 0 to learn it from the first grant.
            born: How many entities its table has from the beginning.
            limits: The bounds.
        """
        self.number, self.limits = number, limits
        self.clock = 0
        self.map = AreaMap()
        self.links: dict[int, Link] = {}
        self.ahead = self.held = EntityNumbers()
        self.queue: Ids = NO_IDS
        self.answers = AnswerWindow(limits.answers)
        self.departures = Departures()
        self.counters = BorderCounters(born=born)

    @property
    def version(self) -> int:
        """The version of the map that the area knows."""
        return self.map.version

    @property
    def waiting(self) -> int:
        """How many entities are in all outboxes."""
        return sum(link.rows for link in self.links.values())

    def copy(self) -> BorderState:
        """Returns a state with the same content; neither sees the other one's changes."""
        other = BorderState(self.number, limits=self.limits)
        other.clock, other.map = self.clock, self.map
        other.links = {number: link.copy() for number, link in self.links.items()}
        other.ahead, other.held, other.queue = self.ahead, self.held, self.queue
        other.answers, other.departures = self.answers.copy(), self.departures
        other.counters = msgspec.structs.replace(self.counters)
        return other

    def link(self, number: int) -> Link:
        """Returns the link to another area, which begins when it is first needed."""
        return self.links.setdefault(number, Link())

    def send(self, number: int, body: Body) -> None:
        """Puts a message into the outbox for another area."""
        link = self.link(number)
        link.put(LinkMessage(body, self.clock, link.taken))

    def waits(self, ids: Ids) -> npt.NDArray[np.bool_]:
        """Returns which of these entities are in an outbox, bool (n,)."""
        found = np.zeros(len(ids), np.bool_)
        for link in self.links.values():
            found |= link.waits(ids)
        return found

    def digest(self) -> int:
        """Returns the xxh3 hash of the state."""
        head = (
            self.number,
            self.clock,
            self.map.digest,
            self.counters,
            self.answers.digest(),
            (len(self.departures), self.departures.checksum),
            [(number, *_link_digest(link)) for number, link in sorted(self.links.items())],
        )
        state = xxhash.xxh3_64(msgspec.msgpack.encode(head))
        for array in (self.ahead.ids, self.ahead.numbers, self.held.ids, self.held.numbers, self.queue):
            state.update(len(array).to_bytes(8, "little") + array.tobytes())
        return state.intdigest()


def acknowledgement(state: BorderState, area: int) -> Acknowledgement:
    """Returns what a committed state acknowledges to another area."""
    link = state.links.get(area, _NO_LINK)
    return Acknowledgement(link.taken, link.sent, state.clock)


def _link_digest(link: Link) -> tuple[object, ...]:
    messages = [message.digest for message in link.outbox.values()]
    return link.sent, link.acknowledged, link.taken, link.waiting, messages
