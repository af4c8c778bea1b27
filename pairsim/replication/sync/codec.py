"""The codec of state frames: XOR with the previous state, byte shuffle, and lz4.

Most values change little from one frame to the next, so the XOR with the previous state consists mostly of zero bits.
Shuffling groups the bytes of equal significance (Blosc), which makes the zeros contiguous, so that lz4 compresses well.

The simulating thread only compares and copies columns. The XOR and the compression run later in an I/O thread, where
NumPy and Blosc release the interpreter lock.
"""

from __future__ import annotations

import collections
import functools
from collections.abc import Mapping

import msgspec
import numpy as np
import numpy.typing as npt
from numcodecs import blosc

from pairsim.model.decode_errors import UNDECODABLE
from pairsim.model.state.schema import Schema
from pairsim.model.state.table import Table

MAX_ROWS = 50_000_000
"""The limit of rows in a received frame."""

_IDS = "id"
_LEVEL = 1
_PREFIX_BYTES = 4096
_BLOSC_HEADER_BYTES = 16

ByteColumn = npt.NDArray[np.uint8]
"""The bytes of a column, one-dimensional."""


class StateFrameError(ValueError):
    """A frame does not fit the state that it is applied to."""


class _PackedColumns(msgspec.Struct, frozen=True, array_like=True):
    rows: int
    columns: dict[str, memoryview]


class BufferPool:
    """Buffers for reuse, since fresh memory pages cost more than the work on them. Any thread may use it; no lock."""

    def __init__(self, limit: int = 32) -> None:
        """Keeps at most `limit` free buffers."""
        self._free: collections.deque[ByteColumn] = collections.deque(maxlen=limit)

    def acquire(self, size: int) -> ByteColumn:
        """Returns a buffer of at least `size` bytes, and not of many times as much: it may be held for long."""
        for _buffer in range(len(self._free)):
            try:
                buffer = self._free.popleft()
            except IndexError:  # other threads took the rest
                break
            if size <= buffer.nbytes <= 2 * size + _PREFIX_BYTES:
                return buffer
            self._free.append(buffer)
        return np.empty(max(size + size // 8, 64), np.uint8)

    def release(self, buffer: ByteColumn) -> None:
        """Returns a buffer to the pool."""
        self._free.append(buffer)


class _BorrowedBuffer:
    """A part of a pooled buffer; the buffer returns to the pool when the last reference to this object is dropped."""

    def __init__(self, pool: BufferPool, size: int) -> None:
        self._pool, self._buffer = pool, pool.acquire(size)
        self.data = self._buffer[:size]

    def __del__(self) -> None:
        self._pool.release(self._buffer)


def _copy(pool: BufferPool, column: ByteColumn) -> _BorrowedBuffer:
    copy = _BorrowedBuffer(pool, column.nbytes)
    np.copyto(copy.data, column)
    return copy


def _xor(pool: BufferPool, now: ByteColumn, before: ByteColumn) -> _BorrowedBuffer:
    """Returns `now` XOR `before`, where `before` is truncated or padded with zeros to the length of `now`."""
    difference, common = _BorrowedBuffer(pool, now.nbytes), min(now.nbytes, before.nbytes)
    np.bitwise_xor(now[:common], before[:common], out=difference.data[:common])
    np.copyto(difference.data[common:], now[common:])
    return difference


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
    columns: dict[str, tuple[_BorrowedBuffer, _BorrowedBuffer | None]]
    typesizes: dict[str, int]
    pool: BufferPool


def _arrays(table: Table) -> dict[str, npt.NDArray[np.generic]]:
    return {_IDS: table.ids, **table.columns()}


def _bytes(array: npt.NDArray[np.generic]) -> ByteColumn:
    return array.view(np.uint8).reshape(-1)


def _equal(old: ByteColumn, new: ByteColumn) -> bool:
    """Compares two columns; most unequal ones already differ in the prefix, which is compared first."""
    return np.array_equal(old[:_PREFIX_BYTES], new[:_PREFIX_BYTES]) and np.array_equal(
        old[_PREFIX_BYTES:], new[_PREFIX_BYTES:]
    )


@functools.lru_cache(maxsize=8)
def _row_bytes(schema: Schema) -> Mapping[str, int]:
    """Returns the bytes of one row by column name."""
    return {_IDS: 8, **{c.name: c.row_bytes for c in schema}}


class Encoder:
    """Makes frames from a table and remembers the base, the state of the last frame. Simulating thread only."""

    def __init__(self, schema: Schema) -> None:
        self._typesizes = {_IDS: 8, **{c.name: np.dtype(c.dtype).itemsize for c in schema}}
        self._pool = BufferPool()
        self._base: dict[str, _BorrowedBuffer] = {}
        self._rows = 0
        self._layout = -1

    def rebase(self, table: Table) -> None:
        """Makes the table's state the base without making a frame."""
        self._base = {}  # releases the old buffers before the new copies need some
        self._base = {name: _copy(self._pool, _bytes(column)) for name, column in _arrays(table).items()}
        self._rows, self._layout = len(table), table.layout

    def make_delta(self, table: Table) -> PendingFrame:
        """Returns the changes from the base to the table's state, which becomes the new base."""
        columns: dict[str, tuple[_BorrowedBuffer, _BorrowedBuffer | None]] = {}
        for name, column in _arrays(table).items():
            if name == _IDS and table.layout == self._layout:
                continue
            before, now = self._base[name], _bytes(column)
            if not _equal(before.data, now):
                self._base[name] = copy = _copy(self._pool, now)
                columns[name] = copy, before
        self._rows, self._layout = len(table), table.layout
        return PendingFrame(self._rows, columns, self._typesizes, self._pool)

    def make_keyframe(self) -> PendingFrame:
        """Returns all columns of the base."""
        return PendingFrame(
            self._rows, {name: (copy, None) for name, copy in self._base.items()}, self._typesizes, self._pool
        )


def pack(frame: PendingFrame) -> bytes:
    """Compresses a frame and releases its copies; call it once per frame."""
    columns: dict[str, memoryview] = {}
    for name, (now, before) in frame.columns.items():
        if now.data.nbytes:
            content = now if before is None else _xor(frame.pool, now.data, before.data)
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


def _unpack(schema: Schema, payload: bytes | memoryview, pool: BufferPool) -> tuple[int, dict[str, _BorrowedBuffer]]:
    """Returns the number of rows and the decompressed columns of a frame."""
    packed = _decode(payload)
    row_bytes = _row_bytes(schema)
    columns: dict[str, _BorrowedBuffer] = {}
    for name, data in packed.columns.items():
        size = packed.rows * row_bytes.get(name, 0)
        if _content_bytes(data) != size:
            raise StateFrameError(f"column {name!r} does not have the size of {packed.rows} rows here")
        columns[name] = _BorrowedBuffer(pool, size)
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
        data = _bytes(arrays[name])
        np.bitwise_xor(data, difference.data, out=data)
    if _IDS in columns:
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
        np.copyto(_bytes(arrays[name]), content.data)
    table.ids_changed()


def find_differences(mine: Table, theirs: Table, limit: int = 20) -> list[tuple[str, int]]:
    """Returns at most `limit` differences of two states as pairs of component and entity.

    The pair ("id", entity) stands for a row that has another entity, or none, in the other state.
    """
    found: list[tuple[str, int]] = []
    rows = min(len(mine), len(theirs))
    if len(mine) != len(theirs):
        longer = mine if len(mine) > len(theirs) else theirs
        found += [(_IDS, int(entity)) for entity in longer.ids[rows : rows + limit]]
    for name, column in _arrays(mine).items():
        width = _row_bytes(mine.schema)[name]
        a, b = _bytes(column[:rows]), _bytes(_arrays(theirs)[name][:rows])
        unequal = np.flatnonzero((a != b).reshape(rows, width).any(axis=1))[:limit]
        found += [(name, int(mine.ids[row])) for row in unequal]
    return found[:limit]
