"""The messages on a connection from the active of one area to the active of another one.

The dialling side sends the entries of its outbox in order, and the other side tells how far it has taken them. What the
body of an entry means is the matter of the areas' states.
"""

from __future__ import annotations

import msgspec

from pairsim.model.authority import AreaNumber
from pairsim.model.borders import Acknowledgement
from pairsim.model.decode_errors import UNDECODABLE


class LinkMessageError(ValueError):
    """The bytes are not a message of a link."""


class Introduction(msgspec.Struct, frozen=True, tag="from", array_like=True):
    """The first message of the dialling side: the number of its area."""

    number: AreaNumber


class Entry(msgspec.Struct, frozen=True, tag="entry", array_like=True):
    """An entry of the outbox: its sequence, which begins with 1 and has no gaps, and its content."""

    sequence: int
    body: bytes


ToReceiver = Introduction | Entry

_to_receiver: msgspec.msgpack.Decoder[ToReceiver] = msgspec.msgpack.Decoder(ToReceiver)
_to_sender: msgspec.msgpack.Decoder[Acknowledgement] = msgspec.msgpack.Decoder(Acknowledgement)
_encode = msgspec.msgpack.Encoder().encode


def encode_message(message: ToReceiver | Acknowledgement) -> bytes:
    """Returns a message as the content of a frame."""
    return _encode(message)


def decode_to_receiver(data: bytes | bytearray) -> ToReceiver:
    """Returns a message of the dialling side.

    Raises:
        LinkMessageError: The bytes are not such a message.
    """
    try:
        return _to_receiver.decode(data)
    except UNDECODABLE as error:
        raise LinkMessageError(f"not an entry of a link: {error}") from error


def decode_to_sender(data: bytes | bytearray) -> Acknowledgement:
    """Returns an acknowledgement.

    Raises:
        LinkMessageError: The bytes are not an acknowledgement.
    """
    try:
        return _to_sender.decode(data)
    except UNDECODABLE as error:
        raise LinkMessageError(f"not an acknowledgement of a link: {error}") from error
