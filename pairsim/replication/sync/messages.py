"""The messages of the state stream: frames and watermarks to a subscriber, acknowledgements and requests back."""

from __future__ import annotations

import msgspec

from pairsim.model.decode_errors import UNDECODABLE
from pairsim.replication.log.records import Rejection

KEYFRAME = -1


class StreamMessageError(ValueError):
    """The bytes are not a message of the state stream."""


class FrameHeader(msgspec.Struct, frozen=True, tag="frame", array_like=True):
    """What a state frame is about; the packed columns follow it.

    Attributes:
        term: The leadership that made it.
        tick: The state that it leads to.
        base: The state that it starts from; `KEYFRAME` if from none.
        committed: The newest committed tick when it was made.
        rejected: Commands of `tick` that were rejected, so that a new active can log them in the next record.
    """

    term: int
    tick: int
    base: int
    committed: int
    rejected: list[Rejection]


class Watermark(msgspec.Struct, frozen=True, tag="committed", array_like=True):
    """The newest committed tick, for subscribers that do not see the log."""

    term: int
    tick: int


class Ack(msgspec.Struct, frozen=True, tag="ack", array_like=True):
    """The subscriber's state is at `tick`; `durable` is the tick of its newest checkpoint on disk."""

    tick: int
    durable: int


class Resend(msgspec.Struct, frozen=True, tag="resend", array_like=True):
    """The subscriber needs a keyframe; with `compare`, together with the delta to the same tick."""

    compare: bool


ToSubscriber = FrameHeader | Watermark
ToActive = Ack | Resend

_to_subscriber: msgspec.msgpack.Decoder[ToSubscriber] = msgspec.msgpack.Decoder(ToSubscriber)
_to_active: msgspec.msgpack.Decoder[ToActive] = msgspec.msgpack.Decoder(ToActive)


def decode_to_subscriber(data: bytes | memoryview) -> tuple[ToSubscriber, memoryview]:
    """Splits a frame into its header and the packed columns.

    Raises:
        StreamMessageError: The bytes are not a frame.
    """
    view = memoryview(data)
    length = int.from_bytes(view[:4], "little")
    try:
        return _to_subscriber.decode(view[4 : 4 + length]), view[4 + length :]
    except UNDECODABLE as error:
        raise StreamMessageError(f"not a state frame: {error}") from error


def encode_to_subscriber(message: ToSubscriber) -> bytes:
    """The header of a frame with its length before it."""
    header = msgspec.msgpack.encode(message)
    return len(header).to_bytes(4, "little") + header


def decode_to_active(data: bytes) -> ToActive:
    """What a subscriber says.

    Raises:
        StreamMessageError: The bytes are not a message of a subscriber.
    """
    try:
        return _to_active.decode(data)
    except UNDECODABLE as error:
        raise StreamMessageError(f"not a subscriber's message: {error}") from error
