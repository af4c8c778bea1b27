"""The two ends of a connection between the actives of two areas, without the socket.

The dialling side introduces itself and sends the entries of its outbox; the other side admits them and acknowledges
what its committed state has taken. Each end belongs to one leadership and ends with it: the posted links say which one
lasts. Both ends send a sign of life when they have nothing else to say.

Threads with sockets drive the ends in a process, and virtual time does in the simulation.
"""

from __future__ import annotations

import threading
from typing import NamedTuple

from pairsim.model.borders import Acknowledgement, LinkMessage
from pairsim.model.borders.codec.messages import decode_message
from pairsim.model.state.schema import Schema
from pairsim.replication.links.arrivals import MAX_ENTRY_BYTES, Admission, Arrivals
from pairsim.replication.links.board import Posted
from pairsim.replication.links.messages import (
    Entry,
    Introduction,
    LinkMessageError,
    decode_to_receiver,
    decode_to_sender,
    encode_message,
)
from pairsim.replication.links.outbox import OutboxCursor

SILENCE_SECONDS = 1.0
"""How long a connection may be silent before it counts as dead. An active that hangs keeps its connections, while
another one has taken over: entities wait so long. A search in vain costs little."""

KEEPALIVE_SECONDS = 0.25
"""How often both sides send something."""

ROOM_SECONDS = 0.01
"""The pause before another look for room."""


class SendingEnd:
    """The end that dialled. One thread sends, another one reads."""

    def __init__(self, number: int, posted: Posted, arrivals: Arrivals, now: float) -> None:
        """Begins a connection.

        Args:
            number: The number of the other area.
            posted: The posted links; the connection belongs to their leadership.
            arrivals: Takes the acknowledgements.
            now: The time.
        """
        self._number, self._term, self._arrivals = number, posted.term, arrivals
        self._cursor, self._lock, self._sent_at = OutboxCursor(), threading.Lock(), now
        self.introduction = encode_message(Introduction(posted.number))
        """The first frame."""

    def lasts(self, posted: Posted) -> bool:
        """Returns whether the leadership of this connection lasts."""
        return posted.term == self._term

    def due(self, posted: Posted, now: float) -> list[bytes]:
        """Returns the frames to send now: entries that are due, or a sign of life."""
        with self._lock:
            entries = self._cursor.due(posted.outbox(self._number))
        frames = [encode_message(entry) for entry in entries]
        if not frames and now > self._sent_at + KEEPALIVE_SECONDS:
            frames = [b""]
        if frames:
            self._sent_at = now
        return frames

    def read(self, frame: bytes | bytearray) -> None:
        """Takes an acknowledgement or a sign of life. Raises LinkMessageError."""
        if not frame:
            return
        acknowledgement = decode_to_sender(frame)
        with self._lock:
            self._cursor.on_acknowledgement(acknowledgement)
        self._arrivals.acknowledge(self._number, acknowledgement)


class ReceivedEntry(NamedTuple):
    """An entry that arrived, and its content."""

    entry: Entry
    message: LinkMessage


class ReceivingEnd:
    """The end that was dialled. One thread reads and admits, another one acknowledges.

    Attributes:
        number: The number of the area that sends.
    """

    def __init__(self, first: bytes | bytearray, posted: Posted, arrivals: Arrivals, schema: Schema) -> None:
        """Begins a connection.

        Args:
            first: The first frame of the other side.
            posted: The posted links; the connection belongs to their leadership.
            arrivals: Takes the entries.
            schema: The components of the area's entities.

        Raises:
            LinkMessageError: The other side does not introduce itself, or this replica is not the active.
        """
        introduction = decode_to_receiver(first)
        if not isinstance(introduction, Introduction):
            raise LinkMessageError("an area introduces itself first")
        if not posted.term:
            raise LinkMessageError("this replica is not the active any more")
        self.number, self._term = introduction.number, posted.term
        self._arrivals, self._schema = arrivals, schema
        self._acknowledged: Acknowledgement | None = None
        self._sent_at = 0.0

    def lasts(self, posted: Posted) -> bool:
        """Returns whether the leadership of this connection lasts."""
        return posted.term == self._term

    def read(self, frame: bytes | bytearray) -> ReceivedEntry | None:
        """Returns the entry in a frame; None for a sign of life.

        Raises:
            LinkMessageError: It is not an entry.
            BorderCodecError: Its content is not a message between areas with these components.
        """
        if not frame:
            return None
        entry = decode_to_receiver(frame)
        if not isinstance(entry, Entry):
            raise LinkMessageError("an area introduces itself once")
        if len(entry.body) > MAX_ENTRY_BYTES:
            raise LinkMessageError(f"an entry of {len(entry.body):,} bytes is over the limit of {MAX_ENTRY_BYTES:,}")
        return ReceivedEntry(entry, decode_message(entry.body, self._schema))

    def admit(self, received: ReceivedEntry) -> Admission:
        """Lets an entry wait for a tick."""
        entry = received.entry
        return self._arrivals.put(self.number, entry.sequence, received.message, len(entry.body))

    def due(self, posted: Posted, now: float) -> bytes | None:
        """Returns the newest acknowledgement, if it says more than the last one or that was long ago; None otherwise.

        It is repeated, since the other area may have had no room for it.
        """
        newest, last = posted.acknowledgement(self.number), self._acknowledged
        if last is not None and not says_more(newest, last) and now < self._sent_at + KEEPALIVE_SECONDS:
            return None
        self._acknowledged, self._sent_at = newest, now
        return encode_message(newest)


def says_more(newest: Acknowledgement, last: Acknowledgement) -> bool:
    """Returns whether an acknowledgement says more than an earlier one; a later clock alone is not worth a frame."""
    return (newest.taken, newest.sent) != (last.taken, last.sent)
