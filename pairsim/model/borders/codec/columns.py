"""Arrays as bytes, little-endian, and the checks of those that are read."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np
import numpy.typing as npt

from pairsim.model.borders.entity_sets import Ids
from pairsim.model.state.schema import Component, Schema
from pairsim.model.state.table_memory import Column

MAX_ROWS = 10_000_000
"""The limit of entities, and of other things of one kind, in a message or a state."""

_INT64 = np.dtype("<i8")


class BorderCodecError(ValueError):
    """The bytes are not what they should be."""


class PackedColumn(msgspec.Struct, frozen=True, array_like=True):
    """A component of several entities: its name, its dtype, the numbers of an entity, and all numbers."""

    name: str
    dtype: str
    width: int
    data: bytes


def pack(numbers: npt.NDArray[np.integer]) -> bytes:
    """Returns whole numbers as int64."""
    return np.ascontiguousarray(numbers, _INT64).tobytes()


def unpack(what: str, data: bytes, *, low: int = 0, high: int = 2**63 - 1, count: int | None = None) -> Ids:
    """Returns whole numbers, int64 (n,), which cannot be written to.

    Args:
        what: What they are, for an error.
        data: The bytes.
        low: The smallest number that may come.
        high: The largest one.
        count: How many there must be.

    Raises:
        BorderCodecError: The length is wrong, or a number is out of bounds.
    """
    if len(data) % _INT64.itemsize or len(data) > MAX_ROWS * _INT64.itemsize:
        raise BorderCodecError(f"{what}: {len(data)} bytes are not up to {MAX_ROWS:,} numbers of 8 bytes")
    numbers = np.frombuffer(data, _INT64).astype(np.int64, copy=False)
    if count is not None and len(numbers) != count:
        raise BorderCodecError(f"{what}: {len(numbers)} numbers are there, and {count} are needed")
    if len(numbers) and not (low <= int(numbers.min()) and int(numbers.max()) <= high):
        raise BorderCodecError(f"{what}: a number is not within {low} to {high}")
    return numbers


def unpack_ids(what: str, data: bytes) -> Ids:
    """Returns entity ids in any order, each once, int64 (n,).

    Raises:
        BorderCodecError: The length is wrong, an id is out of bounds, or comes twice.
    """
    ids = unpack(what, data)
    ordered = np.sort(ids)
    if (ordered[1:] == ordered[:-1]).any():
        raise BorderCodecError(f"{what}: an id comes twice")
    return ids


def unpack_ascending(what: str, data: bytes) -> Ids:
    """Returns entity ids in ascending order, each once, int64 (n,).

    Raises:
        BorderCodecError: The length is wrong, an id is out of bounds, or the order is wrong.
    """
    ids = unpack(what, data)
    if (ids[1:] <= ids[:-1]).any():
        raise BorderCodecError(f"{what}: the ids do not ascend")
    return ids


def pack_columns(columns: Mapping[str, Column]) -> list[PackedColumn]:
    """Returns components by name, (n,) or (n, width), as bytes."""
    return [
        PackedColumn(name, column.dtype.name, _width(column), np.ascontiguousarray(column).tobytes())
        for name, column in columns.items()
    ]


def unpack_columns(columns: list[PackedColumn], schema: Schema, count: int) -> dict[str, Column]:
    """Returns the components of so many entities by name, (n,) or (n, width), which cannot be written to.

    Raises:
        BorderCodecError: They are not those of the schema, or a length is wrong.
    """
    found = [(column.name, column.dtype, column.width) for column in columns]
    wanted = [(component.name, component.dtype, component.width) for component in schema]
    if found != wanted:
        raise BorderCodecError(f"the columns are {_shown(found)}, and those of the area are {_shown(wanted)}")
    return {
        component.name: _unpack_column(component, column.data, count)
        for component, column in zip(schema, columns, strict=True)
    }


def _unpack_column(component: Component, data: bytes, count: int) -> Column:
    if len(data) != count * component.row_bytes:
        raise BorderCodecError(f"the column {component.name}: {len(data)} bytes are not those of {count} entities")
    column = np.frombuffer(data, component.dtype)
    return column if component.width == 1 else column.reshape(count, component.width)


def _width(column: Column) -> int:
    return int(column.shape[1]) if column.ndim > 1 else 1


def _shown(columns: list[tuple[str, str, int]]) -> str:
    return ", ".join(f"{name} ({width} x {dtype})" for name, dtype, width in columns[:64])
