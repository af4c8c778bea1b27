"""Entries of links for tests."""

from __future__ import annotations

from pairsim.model.borders import Answer, AnswerKind, ForwardedAnswer, LinkMessage
from pairsim.model.borders.codec.messages import encode_message


def message(number: int, size: int | None = None) -> LinkMessage:
    """Returns a message that has a number, and that takes so many bytes if a size is given."""
    answer = Answer(AnswerKind.APPLIED, 1, number)
    made = LinkMessage(ForwardedAnswer(bytes(16), answer), clock=number, taken=0)
    if size is not None:
        made.packed = bytes([number]) * size
    return made


def body(number: int) -> bytes:
    """Returns the bytes of a message with a number."""
    return encode_message(message(number))
