"""The messages of the state stream.

The active sends frames and watermarks to its subscribers; they send acknowledgements and requests back. A frame is the
length of its header (4 bytes, little-endian), the header, and the packed columns.
"""

from __future__ import annotations

import msgspec

from pairsim.model.decode_errors import UNDECODABLE
from pairsim.model.state.schema import Component

KEYFRAME = -1
"""The base of a frame that needs no earlier state."""


class StreamMessageError(ValueError):
    """The bytes are not a message of the state stream."""


class FrameHeader(msgspec.Struct, frozen=True, tag="frame", array_like=True):
    """The description of a state frame; the packed columns follow it.

    Attributes:
        term: The term of the leadership that made the frame.
        tick: The tick of the state that the frame leads to.
        base: The tick of the state that the frame starts from; `KEYFRAME` if it needs none.
        committed: The newest committed tick when the frame was made.
        borders: The borders of the state.
        columns: In a keyframe, the schema of the entities; None in a delta.
    """

    term: int
    tick: int
    base: int
    committed: int
    borders: bytes
    columns: list[Component] | None = None


class Watermark(msgspec.Struct, frozen=True, tag="committed", array_like=True):
    """The newest committed tick of a term, for subscribers that cannot rely on their own log yet."""

    term: int
    tick: int


class Ack(msgspec.Struct, frozen=True, tag="ack", array_like=True):
    """The tick of the subscriber's state; `durable` is the tick of its newest checkpoint on disk."""

    tick: int
    durable: int


class Resend(msgspec.Struct, frozen=True, tag="resend", array_like=True):
    """A request for a keyframe; with `compare`, for a keyframe in addition to the delta of the same tick."""

    compare: bool


ToSubscriber = FrameHeader | Watermark
ToActive = Ack | Resend

_to_subscriber: msgspec.msgpack.Decoder[ToSubscriber] = msgspec.msgpack.Decoder(ToSubscriber)
_to_active: msgspec.msgpack.Decoder[ToActive] = msgspec.msgpack.Decoder(ToActive)


def decode_to_subscriber(data: bytes | memoryview) -> tuple[ToSubscriber, memoryview]:
    """Splits a message to a subscriber into its header and the packed columns (empty for a watermark).

    Raises:
        StreamMessageError: The bytes are not such a message.
    """
    view = memoryview(data)
    length = int.from_bytes(view[:4], "little")
    try:
        return _to_subscriber.decode(view[4 : 4 + length]), view[4 + length :]
    except UNDECODABLE as error:
        raise StreamMessageError(f"not a state frame: {error}") from error


def encode_to_subscriber(message: ToSubscriber) -> bytes:
    """Returns a header, preceded by its length."""
    header = msgspec.msgpack.encode(message)
    return len(header).to_bytes(4, "little") + header


def decode_to_active(data: bytes) -> ToActive:
    """Returns a subscriber's message.

    Raises:
        StreamMessageError: The bytes are not a message of a subscriber.
    """
    try:
        return _to_active.decode(data)
    except UNDECODABLE as error:
        raise StreamMessageError(f"not a subscriber's message: {error}") from error
