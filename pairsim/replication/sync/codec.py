"""The pure codec of state frames: XOR with the state before, byte shuffle, lz4.

XOR makes most bits of what hardly moved zero; shuffling puts the bytes of equal weight together (Blosc), which lz4
then packs well. The simulating thread only compares and copies; an I/O thread XORs and packs, without the interpreter
lock.
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
_IDS = "id"
_LEVEL = 1
_PROBE = 4096

Words = npt.NDArray[np.uint8]


class StateFrameError(ValueError):
    """A frame that does not fit the state that it is applied to."""


class _Packed(msgspec.Struct, frozen=True, array_like=True):
    rows: int
    columns: dict[str, memoryview]


class Pool:
    """Buffers that are used again, since fresh pages cost more than the work on them. Any thread; needs no lock."""

    def __init__(self, limit: int = 32) -> None:
        self._free: collections.deque[Words] = collections.deque(maxlen=limit)

    def take(self, size: int) -> Words:
        """A buffer of at least `size` bytes, and not of many times as much: it may be held for long."""
        for _buffer in range(len(self._free)):
            try:
                buffer = self._free.popleft()
            except IndexError:  # others took the rest
                break
            if size <= buffer.nbytes <= 2 * size + _PROBE:
                return buffer
            self._free.append(buffer)
        return np.empty(max(size + size // 8, 64), np.uint8)

    def give(self, buffer: Words) -> None:
        """Takes a buffer back."""
        self._free.append(buffer)


class _Lent:
    """A part of a buffer, which is the pool's again when nobody refers to this any more."""

    def __init__(self, pool: Pool, size: int) -> None:
        self._pool, self._buffer = pool, pool.take(size)
        self.data = self._buffer[:size]

    def __del__(self) -> None:
        self._pool.give(self._buffer)


def _copy(pool: Pool, column: Words) -> _Lent:
    copy = _Lent(pool, column.nbytes)
    np.copyto(copy.data, column)
    return copy


def _xor(pool: Pool, now: Words, before: Words) -> _Lent:
    """What takes `before`, cut off or continued with zeros, to `now`."""
    difference, common = _Lent(pool, now.nbytes), min(now.nbytes, before.nbytes)
    np.bitwise_xor(now[:common], before[:common], out=difference.data[:common])
    np.copyto(difference.data[common:], now[common:])
    return difference


class Draft(msgspec.Struct):
    """A frame before packing.

    Attributes:
        columns: By name, the column and what it was in the state that the frame starts from (None for a keyframe); one
            that did not change is left out.
        typesizes: Bytes of a number, by column.
    """

    rows: int
    columns: dict[str, tuple[_Lent, _Lent | None]]
    typesizes: dict[str, int]
    pool: Pool


def _arrays(table: Table) -> dict[str, npt.NDArray[np.generic]]:
    return {_IDS: table.ids, **table.columns()}


def _bytes(array: npt.NDArray[np.generic]) -> Words:
    return array.view(np.uint8).reshape(-1)


def _same(old: Words, new: Words) -> bool:
    """Whether two columns are equal; most that are not differ in the first few rows."""
    return np.array_equal(old[:_PROBE], new[:_PROBE]) and np.array_equal(old[_PROBE:], new[_PROBE:])


@functools.lru_cache(maxsize=8)
def _widths(schema: Schema) -> Mapping[str, int]:
    """Bytes of one row, by column."""
    return {_IDS: 8, **{c.name: np.dtype(c.dtype).itemsize * c.width for c in schema}}


class Encoder:
    """Makes deltas against the state as last sent. Simulating thread."""

    def __init__(self, schema: Schema) -> None:
        self._typesizes = {_IDS: 8, **{c.name: np.dtype(c.dtype).itemsize for c in schema}}
        self._pool = Pool()
        self._sent: dict[str, _Lent] = {}
        self._rows = 0
        self._layout = -1

    def rebase(self, table: Table) -> None:
        """Takes the state as sent, without a delta."""
        self._sent = {}  # their buffers are free for the new ones
        self._sent = {name: _copy(self._pool, _bytes(column)) for name, column in _arrays(table).items()}
        self._rows, self._layout = len(table), table.layout

    def delta(self, table: Table) -> Draft:
        """What changed since the state as last sent; that is this one from now on."""
        columns: dict[str, tuple[_Lent, _Lent | None]] = {}
        for name, column in _arrays(table).items():
            if name == _IDS and table.layout == self._layout:
                continue
            before, now = self._sent[name], _bytes(column)
            if not _same(before.data, now):
                self._sent[name] = copy = _copy(self._pool, now)
                columns[name] = copy, before
        self._rows, self._layout = len(table), table.layout
        return Draft(self._rows, columns, self._typesizes, self._pool)

    def keyframe(self) -> Draft:
        """The state as last sent, whole."""
        return Draft(self._rows, {name: (copy, None) for name, copy in self._sent.items()}, self._typesizes, self._pool)


def pack(draft: Draft) -> bytes:
    """Compresses a draft and lets its copies go; once per draft."""
    columns: dict[str, memoryview] = {}
    for name, (now, before) in draft.columns.items():
        if now.data.nbytes:
            content = now if before is None else _xor(draft.pool, now.data, before.data)
            typesize = draft.typesizes[name]
            columns[name] = memoryview(blosc.compress(content.data, b"lz4", _LEVEL, blosc.SHUFFLE, 0, typesize))
    draft.columns = {}
    return msgspec.msgpack.encode(_Packed(draft.rows, columns))


def _unpacked(schema: Schema, payload: bytes | memoryview, pool: Pool) -> tuple[int, dict[str, _Lent]]:
    """Rows and columns."""
    try:
        packed = msgspec.msgpack.decode(payload, type=_Packed)
    except UNDECODABLE as error:
        raise StateFrameError(f"not a state frame: {error}") from error
    if not 0 <= packed.rows <= MAX_ROWS:
        raise StateFrameError(f"a frame of {packed.rows} rows is over the limit of {MAX_ROWS}")
    widths = _widths(schema)
    columns: dict[str, _Lent] = {}
    for name, data in packed.columns.items():
        size = packed.rows * widths.get(name, 0)
        # Blosc's header: the size of the content is a 32-bit number at byte 4.
        if len(data) < 16 or int.from_bytes(data[4:8], "little") != size:
            raise StateFrameError(f"column {name!r} does not have the size of {packed.rows} rows here")
        columns[name] = _Lent(pool, size)
        try:
            blosc.decompress(data, columns[name].data)
        except RuntimeError as error:
            raise StateFrameError(f"column {name!r} cannot be decompressed") from error
    return packed.rows, columns


def apply_delta(table: Table, payload: bytes | memoryview, pool: Pool) -> None:
    """Takes the table to the frame's state.

    Raises:
        StateFrameError: The frame does not fit; the table is as before.
    """
    rows, columns = _unpacked(table.schema, payload, pool)
    table.resize(rows)
    arrays = _arrays(table)
    for name, difference in columns.items():
        data = _bytes(arrays[name])
        np.bitwise_xor(data, difference.data, out=data)
    if _IDS in columns:
        table.ids_changed()


def apply_keyframe(table: Table, payload: bytes | memoryview) -> None:
    """Puts the frame's state in the table's place.

    Raises:
        StateFrameError: The frame does not fit; the table is as before.
    """
    rows, columns = _unpacked(table.schema, payload, Pool())
    if rows and columns.keys() != _widths(table.schema).keys():
        raise StateFrameError("a keyframe has all columns")
    table.resize(rows)
    arrays = _arrays(table)
    for name, content in columns.items():
        np.copyto(_bytes(arrays[name]), content.data)
    table.ids_changed()


def differences(mine: Table, theirs: Table, limit: int = 20) -> list[tuple[str, int]]:
    """Where two states differ: component and entity, at most `limit`; ("id", entity) for a row out of place."""
    found: list[tuple[str, int]] = []
    rows = min(len(mine), len(theirs))
    if len(mine) != len(theirs):
        longer = mine if len(mine) > len(theirs) else theirs
        found += [(_IDS, int(entity)) for entity in longer.ids[rows : rows + limit]]
    for name, column in _arrays(mine).items():
        width = _widths(mine.schema)[name]
        a, b = _bytes(column[:rows]), _bytes(_arrays(theirs)[name][:rows])
        unequal = np.flatnonzero((a != b).reshape(rows, width).any(axis=1))[:limit]
        found += [(name, int(mine.ids[row])) for row in unequal]
    return found[:limit]
