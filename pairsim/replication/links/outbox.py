"""Which entries of an outbox go over one connection next.

The outbox belongs to the area's state, and an entry stays in it until the state has the acknowledgement. So a
connection remembers only what it has sent itself: a new one begins after the last entry that the other side has taken,
and sends everything again that may have been lost.

At most `WINDOW_BYTES` are under way on a connection, so that a slow area costs its neighbours no memory.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence

import msgspec

from pairsim.model.borders import Acknowledgement, LinkMessage
from pairsim.model.borders.codec.messages import encode_message
from pairsim.replication.links.messages import Entry

WINDOW_BYTES = 4 * 2**20
"""The most bytes that may be sent and not acknowledged; a first entry may be larger."""


class Outbox(msgspec.Struct, frozen=True):
    """The entries of a committed state for one other area.

    Attributes:
        first: The sequence of the first entry.
        entries: The messages, oldest first.
    """

    first: int = 1
    entries: Sequence[LinkMessage] = ()

    @property
    def last(self) -> int:
        """The sequence of the last entry; `first` - 1 without entries."""
        return self.first + len(self.entries) - 1


class OutboxCursor:
    """What one connection has sent. For one thread at a time."""

    def __init__(self, window: int = WINDOW_BYTES) -> None:
        """Starts without an acknowledgement: until the first one, nothing is due."""
        self._window = window
        self._next: int | None = None
        self._under_way: collections.deque[tuple[int, int]] = collections.deque()
        self._bytes = 0

    def on_acknowledgement(self, acknowledgement: Acknowledgement) -> None:
        """Notes how far the other side has taken the entries; the first acknowledgement says where to begin."""
        if self._next is None:
            self._next = acknowledgement.taken + 1
        while self._under_way and self._under_way[0][0] <= acknowledgement.taken:
            self._bytes -= self._under_way.popleft()[1]

    def due(self, outbox: Outbox) -> list[Entry]:
        """Returns the entries to send now, and counts them as sent."""
        if self._next is None:
            return []
        found: list[Entry] = []
        at = max(self._next, outbox.first)
        while at <= outbox.last:
            body = encode_message(outbox.entries[at - outbox.first])
            if self._under_way and self._bytes + len(body) > self._window:
                break
            self._under_way.append((at, len(body)))
            self._bytes += len(body)
            found.append(Entry(at, body))
            at += 1
        self._next = at
        return found
