"""The link from one area to another one: what was sent and may not have been taken, and what was taken.

The next message alone is taken, and an outbox keeps a message until its acknowledgement counts. It counts when the
messages have been taken that the other area had sent by then: if the message has a return, it is among them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pairsim.model.borders.entity_sets import EntityNumbers, Ids
from pairsim.model.borders.messages import Acknowledgement, Bundle, ForwardedCommand, LinkMessage


class Link:
    """What an area remembers about another one.

    Attributes:
        sent: The sequence of the last message that was sent.
        acknowledged: The sequence of the last message that the other area has taken, as far as it counts.
        taken: The sequence of the last message that was taken from it.
        waiting: Acknowledgements that do not count yet.
        outbox: The messages after `acknowledged`, by sequence.
        entities: The entities in the outbox, with the sequences of their newest messages.
        rows: The number of entities in the messages of the outbox.
        bundles: The number of messages with groups in the outbox.
        orders: The number of forwarded commands in the outbox.
    """

    __slots__ = ("acknowledged", "bundles", "entities", "orders", "outbox", "rows", "sent", "taken", "waiting")

    def __init__(self) -> None:
        self.sent = self.acknowledged = self.taken = self.rows = self.bundles = self.orders = 0
        self.entities = EntityNumbers()
        self.waiting: tuple[Acknowledgement, ...] = ()
        self.outbox: dict[int, LinkMessage] = {}

    def copy(self) -> Link:
        """Returns a link that shares nothing that changes."""
        other = Link()
        other.sent, other.acknowledged, other.taken = self.sent, self.acknowledged, self.taken
        other.entities, other.rows, other.bundles, other.orders = self.entities, self.rows, self.bundles, self.orders
        other.waiting, other.outbox = self.waiting, dict(self.outbox)
        return other

    def restore(
        self,
        *,
        sent: int,
        acknowledged: int,
        taken: int,
        waiting: tuple[Acknowledgement, ...],
        outbox: list[LinkMessage],
    ) -> None:
        """Replaces the content; `outbox` has the messages after `acknowledged` up to `sent`.

        Raises:
            ValueError: The outbox has another number of messages.
        """
        if len(outbox) != sent - acknowledged:
            raise ValueError(f"an outbox has {len(outbox)} messages after {acknowledged} up to {sent}")
        self.sent, self.acknowledged, self.taken, self.waiting = sent, acknowledged, taken, waiting
        self.outbox = dict(enumerate(outbox, acknowledged + 1))
        bundles = [(at, m.body) for at, m in self.outbox.items() if isinstance(m.body, Bundle)]
        self.entities = _newest_messages(bundles)
        self.rows, self.bundles = sum(len(bundle) for _, bundle in bundles), len(bundles)
        self.orders = sum(isinstance(message.body, ForwardedCommand) for message in outbox)

    def takes(self, sequence: int) -> bool:
        """Returns whether a message is the next one."""
        return sequence == self.taken + 1

    def put(self, message: LinkMessage) -> None:
        """Appends a message to the outbox."""
        self.sent += 1
        self.outbox[self.sent] = message
        self._count(message, 1)
        if isinstance(message.body, Bundle):
            self.entities = self.entities.put(message.body.ids, self.sent)

    def learns(self, new: Acknowledgement) -> bool:
        """Returns whether an acknowledgement says more than all that came before."""
        if new.taken > self.sent or new.taken <= self.acknowledged:
            return False
        return not any(a.taken >= new.taken and a.sent <= new.sent for a in self.waiting)

    def note(self, new: Acknowledgement, limit: int) -> None:
        """Keeps an acknowledgement until it counts, if it says more than those that wait.

        Beyond the limit it is dropped: the other area repeats its newest one.
        """
        if not self.learns(new):
            return
        kept = tuple(a for a in self.waiting if a.taken > new.taken or a.sent < new.sent)
        if len(kept) < limit:
            self.waiting = (*kept, new)

    def settle(self) -> None:
        """Drops the messages from the outbox whose acknowledgements count now."""
        counting = [a for a in self.waiting if a.sent <= self.taken]
        if not counting:
            return
        self.waiting = tuple(a for a in self.waiting if a.sent > self.taken)
        self.drop(max(a.taken for a in counting))

    def drop(self, taken: int) -> None:
        """Drops the messages up to a sequence from the outbox."""
        for sequence in range(self.acknowledged + 1, taken + 1):
            self._count(self.outbox.pop(sequence), -1)
        self.acknowledged = max(self.acknowledged, taken)
        self.entities = self.entities.above(taken)

    def waits(self, ids: Ids, after: int = 0) -> npt.NDArray[np.bool_]:
        """Returns which of these entities are in messages of the outbox after a sequence, bool (n,)."""
        return self.entities.mask(ids, above=after)

    def _count(self, message: LinkMessage, change: int) -> None:
        self.rows += change * message.rows
        self.bundles += change * isinstance(message.body, Bundle)
        self.orders += change * isinstance(message.body, ForwardedCommand)


def _newest_messages(bundles: list[tuple[int, Bundle]]) -> EntityNumbers:
    """Returns the entities of bundles with the highest sequence of each."""
    if not bundles:
        return EntityNumbers()
    ids = np.concatenate([bundle.ids for _, bundle in bundles])[::-1]
    sequences = np.repeat([sequence for sequence, _ in bundles], [len(bundle) for _, bundle in bundles])[::-1]
    unique, newest = np.unique(ids, return_index=True)
    return EntityNumbers(unique, sequences[newest].astype(np.int64))
