"""The conversion of commands that a simulator's `perceive` returns to the plain values that the log holds.

A simulator computes with numpy, so its commands easily contain numpy's numbers, arrays and texts, or those of another
library. The log has only Python's own types. A conversion copies a command, so that the simulator may go on changing
the objects that it has returned.
"""

from __future__ import annotations

import itertools
import operator
import uuid
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import SupportsFloat, SupportsIndex, TypeVar

from pairsim.model.commands import Command, Value
from pairsim.model.simulation.foreign_text import foreign_text
from pairsim.model.state.plain_values import plain_item

T = TypeVar("T")

_MAX_SHOWN_CHARACTERS = 60
_MAX_NUMBERS = 65
"""More numbers than any component has, so that an endless iterator ends here and is refused for its length."""


class PerceivedFieldError(ValueError):
    """A field of a perceived command cannot be converted.

    Attributes:
        field: The field, for example `water.litres`; empty if the object is not a command.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


def plain_command(value: object) -> Command:
    """Returns a copy of a perceived command that has plain values only.

    Whole numbers become int, numbers and truth values become float, and arrays and other sequences become lists, or a
    number if they have one element.

    Raises:
        PerceivedFieldError: The object is not a command, or one of its fields cannot be converted.
    """
    if not isinstance(value, Command):
        raise PerceivedFieldError("", f"{_shown(value)} is not a Command")
    op = _convert("op", value.op, _text, "text")
    names = _convert(f"{op}.components", value.components, _names, "a dict with names as keys")
    return Command(
        id=_convert(f"{op}.id", value.id, _identifier, "text"),
        op=op,
        entity=_convert(f"{op}.entity", value.entity, _whole_number, "a whole number"),
        components={
            name: _convert(f"{op}.{name}", given, _value, "a number or a list of numbers") for name, given in names
        },
    )


def _convert(field: str, value: object, convert: Callable[[object], T], wanted: str) -> T:
    try:
        return convert(value)
    except Exception as error:
        raise PerceivedFieldError(field, f"{_shown(value)} cannot be converted to {wanted}") from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    text = str.__str__(value)  # of numpy's texts and of members of enumerations as well
    text.encode()
    return text


def _identifier(value: object) -> str:
    if isinstance(value, uuid.UUID):
        return str(value)
    return _text(value) if isinstance(value, str) else str(_whole_number(value))


def _names(value: object) -> list[tuple[str, object]]:
    if not isinstance(value, Mapping):
        raise TypeError
    return [(_text(name), given) for name, given in list(value.items())]


def _whole_number(value: object) -> int:
    plain = plain_item(value)
    if isinstance(plain, float) and plain.is_integer():
        return int(plain)
    if not isinstance(plain, SupportsIndex):
        raise TypeError
    return operator.index(plain)


def _value(value: object) -> Value:
    if isinstance(value, float | int):
        return float(value)
    to_list = getattr(value, "tolist", None)
    plain: object = to_list() if callable(to_list) else value
    if isinstance(plain, Iterable) and not isinstance(plain, str | bytes | Mapping | AbstractSet):
        numbers: list[float] = [_number(number) for number in itertools.islice(plain, _MAX_NUMBERS)]
        return numbers[0] if len(numbers) == 1 else numbers  # no component takes a list of one
    return _number(plain)


def _number(value: object) -> float:
    plain = plain_item(value)
    if isinstance(plain, str) or not isinstance(plain, SupportsFloat | SupportsIndex):
        raise TypeError
    return float(plain)


def _shown(value: object) -> str:
    return f"{foreign_text(value, _MAX_SHOWN_CHARACTERS)!r} ({type(value).__name__})"
