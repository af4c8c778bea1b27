"""What of a document does not fit its type, in sentences for whoever wrote it."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping
from typing import Any, get_args

import msgspec
from msgspec import inspect

from pairsim.model.names import Name

_LONGEST = 60


def misfits(value: object, kind: Any, place: str = "") -> Iterator[str]:
    """All that is wrong, place by place; nothing if only the whole does not fit (see `misfit`).

    Args:
        value: As a document's parser gives it.
        kind: A struct, a mapping, or anything that msgspec converts.
        place: Where it stands, as `spec.bounds`; empty for the document.
    """
    info = inspect.type_info(kind)
    if isinstance(info, inspect.StructType):
        yield from _struct(value, kind, place)
    elif isinstance(info, inspect.DictType) and isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(key, str):
                yield from misfits(item, get_args(kind)[1], f"{place}.{key[:_LONGEST]}")
            else:
                yield f"{place} has the key {shown(key)}: keys are text, write it in quotes"
    else:
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError:
            yield f"{place} is {_words(kind, info)}, not {_found(value)}"


def misfit(error: msgspec.ValidationError) -> str:
    """What a struct itself says of its fields, with its place first."""
    sentence, _, path = str(error).partition(" - at `$")
    return ": ".join(filter(None, (path.strip(".`"), sentence)))


def shown(value: object) -> str:
    """A few lines of aliases can stand for gigabytes."""
    return reprlib.repr(value)[:_LONGEST]


def _found(value: object) -> str:
    return "nothing" if value is None else shown(value)


def _struct(value: object, kind: type[msgspec.Struct], place: str) -> Iterator[str]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    here, takes = place or "the document", ", ".join(fields)
    if not isinstance(value, Mapping):
        yield f"{here} is a mapping of {takes}, not {_found(value)}"
        return
    yield from (f"{here} has no {shown(key)}: it takes {takes}" for key in value if key not in fields)
    for name, field in fields.items():
        if name in value:
            yield from misfits(value[name], field.type, f"{place}.{name}".lstrip("."))
        elif field.required:
            yield f"{here} lacks {name}"


def _words(kind: Any, info: inspect.Type) -> str:
    if kind == Name:
        return "a name of small letters, digits, and dashes between them, 63 at the most"
    if isinstance(info, inspect.IntType | inspect.FloatType):
        number = "a whole number" if isinstance(info, inspect.IntType) else "a number"
        low = f" above {info.gt:,}," if info.gt is not None else ""
        low = f" of at least {info.ge:,}," if info.ge is not None else low
        return (number + low + (f" {_most(info.le)} at the most" if info.le is not None else "")).removesuffix(",")
    if isinstance(info, inspect.TupleType):
        return f"a list of {len(info.item_types)} numbers"
    if isinstance(info, inspect.UnionType):
        return "a number, a text, true or false"
    return "a mapping" if isinstance(info, inspect.DictType) else "a text"


def _most(bound: float) -> str:
    return "2**63 - 1" if bound == 2**63 - 1 else f"{bound:,}"
