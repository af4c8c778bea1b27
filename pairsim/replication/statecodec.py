"""The pure codec of state frames: XOR with the state before, byte shuffle, lz4.

XOR makes most bits of what hardly moved zero; shuffling puts the bytes of equal weight together (Blosc), which lz4
then packs well. The simulating thread only compares and copies; an I/O thread XORs and packs, without the interpreter
lock.
"""

from __future__ import annotations

import collections
import contextlib
import functools
from collections.abc import Iterator, Mapping

import msgspec
import numpy as np
import numpy.typing as npt
from numcodecs import blosc

from pairsim.model.decoding import UNDECODABLE
from pairsim.model.schema import Schema
from pairsim.model.table import Table

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
        """A buffer of at least `size` bytes."""
        for _buffer in range(len(self._free)):
            try:
                buffer = self._free.popleft()
            except IndexError:  # others took the rest
                break
            if buffer.nbytes >= size:
                return buffer
            self._free.append(buffer)
        return np.empty(max(size + size // 8, 64), np.uint8)

    def give(self, buffer: Words) -> None:
        """Takes a buffer back."""
        self._free.append(buffer)


class _Shot:
    """A copy of a column. Its buffer is the pool's again when nobody refers to the copy any more."""

    def __init__(self, pool: Pool, column: Words) -> None:
        self._pool, self._buffer = pool, pool.take(column.nbytes)
        self.data = self._buffer[: column.nbytes]
        np.copyto(self.data, column)

    def __del__(self) -> None:
        self._pool.give(self._buffer)


class Draft(msgspec.Struct):
    """A frame before packing.

    Attributes:
        columns: By name, the column and what it was in the state that the frame starts from (None for a keyframe); one
            that did not change is left out.
        typesizes: Bytes of a number, by column.
    """

    rows: int
    columns: dict[str, tuple[_Shot, _Shot | None]]
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
        self._sent: dict[str, _Shot] = {}
        self._rows = 0
        self._layout = -1

    def rebase(self, table: Table) -> None:
        """Takes the state as sent, without a delta."""
        self._sent = {}  # their buffers are free for the new ones
        self._sent = {name: _Shot(self._pool, _bytes(column)) for name, column in _arrays(table).items()}
        self._rows, self._layout = len(table), table.layout

    def delta(self, table: Table) -> Draft:
        """What changed since the state as last sent; that is this one from now on."""
        columns: dict[str, tuple[_Shot, _Shot | None]] = {}
        for name, column in _arrays(table).items():
            if name == _IDS and table.layout == self._layout:
                continue
            before, now = self._sent[name], _bytes(column)
            if not _same(before.data, now):
                self._sent[name] = shot = _Shot(self._pool, now)
                columns[name] = shot, before
        self._rows, self._layout = len(table), table.layout
        return Draft(self._rows, columns, self._typesizes, self._pool)

    def keyframe(self) -> Draft:
        """The state as last sent, whole."""
        return Draft(self._rows, {name: (shot, None) for name, shot in self._sent.items()}, self._typesizes, self._pool)


def pack(draft: Draft) -> bytes:
    """Compresses a draft and lets its copies go; once per draft."""
    columns: dict[str, memoryview] = {}
    for name, (now, before) in draft.columns.items():
        if size := now.data.nbytes:
            scratch = draft.pool.take(size)
            content = now.data if before is None else _xor(now.data, before.data, scratch[:size])
            typesize = draft.typesizes[name]
            columns[name] = memoryview(blosc.compress(content, b"lz4", _LEVEL, blosc.SHUFFLE, 0, typesize))
            draft.pool.give(scratch)
    draft.columns = {}
    return msgspec.msgpack.encode(_Packed(draft.rows, columns))


def _xor(now: Words, before: Words, out: Words) -> Words:
    """What takes `before`, cut off or continued with zeros, to `now`."""
    common = min(now.nbytes, before.nbytes)
    np.bitwise_xor(now[:common], before[:common], out=out[:common])
    np.copyto(out[common:], now[common:])
    return out


@contextlib.contextmanager
def _unpacked(schema: Schema, payload: bytes | memoryview, pool: Pool) -> Iterator[tuple[int, dict[str, Words]]]:
    """Rows and columns; the columns are the pool's again afterwards."""
    try:
        packed = msgspec.msgpack.decode(payload, type=_Packed)
    except UNDECODABLE as error:
        raise StateFrameError(f"not a state frame: {error}") from error
    if not 0 <= packed.rows <= MAX_ROWS:
        raise StateFrameError(f"a frame of {packed.rows} rows is over the limit of {MAX_ROWS}")
    widths = _widths(schema)
    columns: dict[str, Words] = {}
    buffers: list[Words] = []
    try:
        for name, data in packed.columns.items():
            size = packed.rows * widths.get(name, 0)
            # Blosc's header: the size of the content is a 32-bit number at byte 4.
            if len(data) < 16 or int.from_bytes(data[4:8], "little") != size:
                raise StateFrameError(f"column {name!r} does not have the size of {packed.rows} rows here")
            buffers.append(pool.take(size))
            columns[name] = buffers[-1][:size]
            try:
                blosc.decompress(data, columns[name])
            except RuntimeError as error:
                raise StateFrameError(f"column {name!r} cannot be decompressed") from error
        yield packed.rows, columns
    finally:
        for buffer in buffers:
            pool.give(buffer)


def apply_delta(table: Table, payload: bytes | memoryview, pool: Pool) -> None:
    """Takes the table to the frame's state.

    Raises:
        StateFrameError: The frame does not fit; the table is as before.
    """
    with _unpacked(table.schema, payload, pool) as (rows, columns):
        table.resize(rows)
        arrays = _arrays(table)
        for name, difference in columns.items():
            data = _bytes(arrays[name])
            np.bitwise_xor(data, difference, out=data)
        if _IDS in columns:
            table.ids_changed()


def apply_keyframe(table: Table, payload: bytes | memoryview) -> None:
    """Puts the frame's state in the table's place.

    Raises:
        StateFrameError: The frame does not fit; the table is as before.
    """
    with _unpacked(table.schema, payload, Pool()) as (rows, columns):
        if rows and columns.keys() != _widths(table.schema).keys():
            raise StateFrameError("a keyframe has all columns")
        table.resize(rows)
        arrays = _arrays(table)
        for name, content in columns.items():
            np.copyto(_bytes(arrays[name]), content)
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
