"""Answers with entities. JSON has no word for a number that is not finite, so `null` stands for it there.

A simulator may compute NaN or an infinity. Both arrive as NaN: what a client reads is a number in any case.
"""

from __future__ import annotations

import math
from typing import TypeVar

import msgspec

from pairsim.protocol.frames import EntitiesAnswer, EntityAnswer

E = TypeVar("E", EntitiesAnswer, EntityAnswer)

_Components = dict[str, float | list[float | None] | None]


class _LooseEntity(msgspec.Struct):
    id: int
    components: _Components


class _LooseEntities(msgspec.Struct):
    tick: int
    term: int
    entities: list[_LooseEntity]
    next: int | None


class _LooseEntityAnswer(msgspec.Struct):
    id: int
    tick: int
    term: int
    components: _Components


def decode_entities(body: bytes, kind: type[E]) -> E:
    """Decodes an answer; `null` in a component becomes NaN.

    Raises:
        msgspec.MsgspecError: The body is not such an answer.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError:  # rare, so the usual answer is decoded without a second look
        loose = msgspec.json.decode(body, type=_LooseEntities if kind is EntitiesAnswer else _LooseEntityAnswer)
    for entity in loose.entities if isinstance(loose, _LooseEntities) else (loose,):
        entity.components = {name: _with_nan(value) for name, value in entity.components.items()}
    return msgspec.convert(msgspec.to_builtins(loose), kind)


def _with_nan(value: float | list[float | None] | None) -> float | list[float | None]:
    if isinstance(value, list):
        return [math.nan if number is None else number for number in value]
    return math.nan if value is None else value
