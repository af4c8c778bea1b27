"""The mistakes of a document, as sentences for its author: which field, what the field takes, and what was written."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping
from typing import Any, get_args

import msgspec
from msgspec import inspect

from pairsim.model.names import Name

_MAX_LENGTH = 60


def field_errors(value: object, kind: Any, place: str = "") -> Iterator[str]:
    """Yields a sentence for each field that does not fit its type.

    Nothing is yielded if each field fits and only the struct as a whole refuses them; `struct_error` says why.

    Args:
        value: The value as the parser of the document gives it.
        kind: A struct, a mapping, or anything that msgspec converts.
        place: The path of the value, such as `spec.bounds`; empty for the document.
    """
    info = inspect.type_info(kind)
    if isinstance(info, inspect.StructType):
        yield from _struct_errors(value, kind, place)
    elif isinstance(info, inspect.DictType) and isinstance(value, Mapping):
        for key, item in value.items():
            yield from field_errors(item, get_args(kind)[1], f"{place}.{key[:_MAX_LENGTH]}")
    else:
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError:
            yield f"{place} is {_type_phrase(kind, info)}, not {_value_phrase(value)}"


def struct_error(error: msgspec.ValidationError) -> str:
    """Returns what a struct itself says about its fields, with the path of the struct first."""
    sentence, _, path = str(error).partition(" - at `$")
    return ": ".join(filter(None, (path.strip(".`"), sentence)))


def abbreviated(value: object) -> str:
    """Returns a short text of a value, whatever its size: a few lines of aliases can stand for gigabytes."""
    return reprlib.repr(value)[:_MAX_LENGTH]


def _value_phrase(value: object) -> str:
    return "nothing" if value is None else abbreviated(value)


def _struct_errors(value: object, kind: type[msgspec.Struct], place: str) -> Iterator[str]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    here, takes = place or "the document", ", ".join(fields)
    if not isinstance(value, Mapping):
        yield f"{here} is a mapping of {takes}, not {_value_phrase(value)}"
        return
    yield from (f"{here} has no {abbreviated(key)}: it takes {takes}" for key in value if key not in fields)
    for name, field in fields.items():
        if name in value:
            yield from field_errors(value[name], field.type, f"{place}.{name}".lstrip("."))
        elif field.required:
            yield f"{here} lacks {name}"


def _type_phrase(kind: Any, info: inspect.Type) -> str:
    """Returns a phrase for the values that a type takes, such as "a number above 0"."""
    if kind == Name:
        return "a name of small letters, digits, and dashes between them, 63 at the most"
    if isinstance(info, inspect.BoolType):
        return "true or false"
    if isinstance(info, inspect.IntType | inspect.FloatType):
        number = "a whole number" if isinstance(info, inspect.IntType) else "a number"
        low = f" above {info.gt:,}," if info.gt is not None else ""
        low = f" of at least {info.ge:,}," if info.ge is not None else low
        high = f" {_bound_phrase(info.le)} at the most" if info.le is not None else ""
        return (number + low + high).removesuffix(",")
    if isinstance(info, inspect.TupleType):
        return f"a list of {len(info.item_types)} numbers"
    if isinstance(info, inspect.UnionType):
        return "a number, a text, true or false"
    return "a mapping" if isinstance(info, inspect.DictType) else "a text"


def _bound_phrase(bound: float) -> str:
    return "2**63 - 1" if bound == 2**63 - 1 else f"{bound:,}"
