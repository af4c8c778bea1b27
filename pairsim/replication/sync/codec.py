"""The codec of state frames: XOR with the previous state, byte shuffle, and lz4.

Most values change little from one frame to the next, so the XOR with the previous state consists mostly of zero bits.
Shuffling groups the bytes of equal significance (Blosc), which makes the zeros contiguous, so that lz4 compresses well.

A frame is made of snapshots. The XOR and the compression run later in an I/O thread, where NumPy and Blosc release the
interpreter lock.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import msgspec
import numpy as np
import numpy.typing as npt
from numcodecs import blosc

from pairsim.model.decode_errors import UNDECODABLE
from pairsim.model.state.schema import Schema
from pairsim.model.state.table import Table, TableView
from pairsim.replication.sync.buffers import BorrowedBuffer, BufferPool, bytes_of, xor_columns
from pairsim.replication.sync.snapshots import ID_COLUMN, Snapshot

MAX_ROWS = 50_000_000
"""The limit of rows in a received frame."""

_LEVEL = 1
_BLOSC_HEADER_BYTES = 16


class StateFrameError(ValueError):
    """A frame does not fit the state that it is applied to."""


class _PackedColumns(msgspec.Struct, frozen=True, array_like=True):
    rows: int
    columns: dict[str, memoryview]


class PendingFrame(msgspec.Struct):
    """A frame whose columns are copied but not compressed yet.

    Attributes:
        rows: The number of entities in the new state.
        columns: By name, the new column and the same column of the base state (None in a keyframe). A delta omits
            unchanged columns.
        typesizes: By column name, the bytes of one number.
        pool: The pool of the copies.
    """

    rows: int
    columns: Mapping[str, tuple[BorrowedBuffer, BorrowedBuffer | None]]
    typesizes: Mapping[str, int]
    pool: BufferPool


def _arrays(table: TableView) -> dict[str, npt.NDArray[np.generic]]:
    return {ID_COLUMN: table.ids, **table.columns()}


@functools.lru_cache(maxsize=8)
def _typesizes(schema: Schema) -> Mapping[str, int]:
    """Returns the bytes of one number by column name."""
    return {ID_COLUMN: 8, **{c.name: np.dtype(c.dtype).itemsize for c in schema}}


@functools.lru_cache(maxsize=8)
def _row_bytes(schema: Schema) -> Mapping[str, int]:
    """Returns the bytes of one row by column name."""
    return {ID_COLUMN: 8, **{c.name: c.row_bytes for c in schema}}


def keyframe(snapshot: Snapshot) -> PendingFrame:
    """Returns a frame with all columns of a state."""
    columns = {name: (buffer, None) for name, buffer in snapshot.buffers.items()}
    return PendingFrame(len(snapshot), columns, _typesizes(snapshot.schema), snapshot.pool)


def delta(base: Snapshot, snapshot: Snapshot) -> PendingFrame:
    """Returns a frame that leads from one state to a later one: the columns that the two do not share."""
    columns = {
        name: (buffer, base.buffers[name])
        for name, buffer in snapshot.buffers.items()
        if buffer is not base.buffers[name]
    }
    return PendingFrame(len(snapshot), columns, _typesizes(snapshot.schema), snapshot.pool)


def pack(frame: PendingFrame) -> bytes:
    """Compresses a frame and releases its copies; call it once per frame."""
    columns: dict[str, memoryview] = {}
    for name, (now, before) in frame.columns.items():
        if now.data.nbytes:
            content = now if before is None else xor_columns(frame.pool, now.data, before.data)
            typesize = frame.typesizes[name]
            columns[name] = memoryview(blosc.compress(content.data, b"lz4", _LEVEL, blosc.SHUFFLE, 0, typesize))
    frame.columns = {}
    return msgspec.msgpack.encode(_PackedColumns(frame.rows, columns))


def _decode(payload: bytes | memoryview) -> _PackedColumns:
    try:
        packed = msgspec.msgpack.decode(payload, type=_PackedColumns)
    except UNDECODABLE as error:
        raise StateFrameError(f"not a state frame: {error}") from error
    if not 0 <= packed.rows <= MAX_ROWS:
        raise StateFrameError(f"a frame of {packed.rows} rows is over the limit of {MAX_ROWS}")
    return packed


def _content_bytes(column: memoryview) -> int:
    """Returns the size of a packed column's content, which Blosc's header holds as a 32-bit number at byte 4."""
    return int.from_bytes(column[4:8], "little") if len(column) >= _BLOSC_HEADER_BYTES else -1


def keyframe_difference(schema: Schema, payload: bytes | memoryview) -> str:
    """Returns how the columns of a keyframe differ from a schema by name and size; empty if they fit.

    A keyframe says nothing about the types of its columns, and nothing at all without rows.

    Raises:
        StateFrameError: The payload is not a frame.
    """
    packed = _decode(payload)
    if not packed.rows:
        return ""
    here = _row_bytes(schema)
    there = {name: _content_bytes(column) // packed.rows for name, column in packed.columns.items()}
    found = [f"the column {name!r} of the simulator is not in the state" for name in here if name not in there]
    found += [f"the column {name!r} of the state is not in the simulator" for name in there if name not in here]
    found += [
        f"the column {name!r} has {there[name]} bytes for each entity in the state and {size} in the simulator"
        for name, size in here.items()
        if there.get(name, size) != size
    ]
    return "; ".join(found)


def _unpack(schema: Schema, payload: bytes | memoryview, pool: BufferPool) -> tuple[int, dict[str, BorrowedBuffer]]:
    """Returns the number of rows and the decompressed columns of a frame."""
    packed = _decode(payload)
    row_bytes = _row_bytes(schema)
    columns: dict[str, BorrowedBuffer] = {}
    for name, data in packed.columns.items():
        size = packed.rows * row_bytes.get(name, 0)
        if _content_bytes(data) != size:
            raise StateFrameError(f"column {name!r} does not have the size of {packed.rows} rows here")
        columns[name] = BorrowedBuffer(pool, size)
        try:
            blosc.decompress(data, columns[name].data)
        except RuntimeError as error:
            raise StateFrameError(f"column {name!r} cannot be decompressed") from error
    return packed.rows, columns


def apply_delta(table: Table, payload: bytes | memoryview, pool: BufferPool) -> None:
    """Moves a table from the base state of a delta to the delta's state.

    Raises:
        StateFrameError: The frame does not fit the table; the table is unchanged.
    """
    rows, columns = _unpack(table.schema, payload, pool)
    table.resize(rows)
    arrays = _arrays(table)
    for name, difference in columns.items():
        data = bytes_of(arrays[name])
        np.bitwise_xor(data, difference.data, out=data)
    if ID_COLUMN in columns:
        table.ids_changed()


def apply_keyframe(table: Table, payload: bytes | memoryview) -> None:
    """Replaces the state of a table by a keyframe's state.

    Raises:
        StateFrameError: The frame does not fit the table's schema; the table is unchanged.
    """
    if difference := keyframe_difference(table.schema, payload):
        raise StateFrameError(difference)
    rows, columns = _unpack(table.schema, payload, BufferPool())
    table.resize(rows)
    arrays = _arrays(table)
    for name, content in columns.items():
        np.copyto(bytes_of(arrays[name]), content.data)
    table.ids_changed()


def find_differences(mine: TableView, theirs: TableView, limit: int = 20) -> list[tuple[str, int]]:
    """Returns at most `limit` differences of two states as pairs of component and entity.

    The pair ("id", entity) stands for a row that has another entity, or none, in the other state.
    """
    found: list[tuple[str, int]] = []
    rows = min(len(mine), len(theirs))
    if len(mine) != len(theirs):
        longer = mine if len(mine) > len(theirs) else theirs
        found += [(ID_COLUMN, int(entity)) for entity in longer.ids[rows : rows + limit]]
    for name, column in _arrays(mine).items():
        width = _row_bytes(mine.schema)[name]
        a, b = bytes_of(column[:rows]), bytes_of(_arrays(theirs)[name][:rows])
        unequal = np.flatnonzero((a != b).reshape(rows, width).any(axis=1))[:limit]
        found += [(name, int(mine.ids[row])) for row in unequal]
    return found[:limit]
