"""The pure codec of state frames: XOR with the state before, byte shuffle, lz4.

XOR makes most bits of what hardly moved zero; shuffling puts the bytes of equal weight together (Blosc), which lz4
then packs well. The simulating thread only XORs and copies; packing runs in an I/O thread without the interpreter
lock.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

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


class Draft(msgspec.Struct):
    """A frame before packing: buffers of the pool, by column; a column that did not change is left out."""

    rows: int
    buffers: dict[str, Words]
    sizes: dict[str, int]
    typesizes: dict[str, int]
    pool: Pool


class _Packed(msgspec.Struct, frozen=True, array_like=True):
    rows: int
    columns: dict[str, memoryview]


class Pool:
    """Buffers that are used again, since fresh pages cost more than the work on them. Any thread."""

    def __init__(self, limit: int = 32) -> None:
        self._lock = threading.Lock()
        self._free: list[Words] = []
        self._limit = limit

    def take(self, size: int) -> Words:
        """A buffer of at least `size` bytes."""
        with self._lock:
            for place, buffer in enumerate(self._free):
                if buffer.nbytes >= size:
                    return self._free.pop(place)
        return np.empty(max(size + size // 8, 64), np.uint8)

    def give(self, buffer: Words) -> None:
        """Takes a buffer back."""
        with self._lock:
            if len(self._free) < self._limit:
                self._free.append(buffer)


def _arrays(table: Table) -> dict[str, npt.NDArray[np.generic]]:
    return {_IDS: table.ids, **table.columns()}


def _bytes(array: npt.NDArray[np.generic]) -> Words:
    return array.view(np.uint8).reshape(-1)


def _same(old: Words, new: Words) -> bool:
    """Whether two columns are equal; most that are not differ in the first few rows."""
    return np.array_equal(old[:_PROBE], new[:_PROBE]) and np.array_equal(old[_PROBE:], new[_PROBE:])


def _widths(schema: Schema) -> dict[str, int]:
    """Bytes of one row, by column."""
    return {_IDS: 8, **{c.name: np.dtype(c.dtype).itemsize * c.width for c in schema}}


class Encoder:
    """Makes deltas against the state as last sent. Simulating thread."""

    def __init__(self, schema: Schema) -> None:
        self._typesizes = {_IDS: 8, **{c.name: np.dtype(c.dtype).itemsize for c in schema}}
        self._base = Table(schema)
        self._layout = -1
        self._pool = Pool()

    def rebase(self, table: Table) -> None:
        """Takes the state as sent, without a delta."""
        self._base.resize(len(table))
        for name, column in _arrays(self._base).items():
            np.copyto(column, _arrays(table)[name])
        self._layout = table.layout

    def delta(self, table: Table) -> Draft:
        """What changed since the state as last sent; that is this one from now on."""
        base, rows = self._base, len(table)
        base.resize(rows)
        draft = Draft(rows, {}, {}, self._typesizes, self._pool)
        mine, theirs = _arrays(base), _arrays(table)
        for name, new in theirs.items():
            if name == _IDS and table.layout == self._layout:
                continue
            old_bytes, new_bytes = _bytes(mine[name]), _bytes(new)
            if _same(old_bytes, new_bytes):
                continue
            buffer = self._pool.take(new_bytes.nbytes)
            np.bitwise_xor(old_bytes, new_bytes, out=buffer[: new_bytes.nbytes])
            np.copyto(old_bytes, new_bytes)
            draft.buffers[name], draft.sizes[name] = buffer, new_bytes.nbytes
        self._layout = table.layout
        return draft

    def keyframe(self) -> Draft:
        """The state as last sent, whole."""
        draft = Draft(len(self._base), {}, {}, self._typesizes, self._pool)
        for name, column in _arrays(self._base).items():
            data = _bytes(column)
            buffer = self._pool.take(data.nbytes)
            np.copyto(buffer[: data.nbytes], data)
            draft.buffers[name], draft.sizes[name] = buffer, data.nbytes
        return draft


def pack(draft: Draft) -> bytes:
    """Compresses a draft and gives its buffers back; once per draft."""
    columns: dict[str, memoryview] = {}
    for name, buffer in draft.buffers.items():
        size = draft.sizes[name]
        if size:
            typesize = draft.typesizes[name]
            columns[name] = memoryview(blosc.compress(buffer[:size], b"lz4", _LEVEL, blosc.SHUFFLE, 0, typesize))
        draft.pool.give(buffer)
    draft.buffers = {}
    return msgspec.msgpack.encode(_Packed(draft.rows, columns))


@contextlib.contextmanager
def _unpacked(schema: Schema, payload: bytes | memoryview, pool: Pool) -> Iterator[tuple[int, dict[str, Words]]]:
    """Rows and columns; the columns are the pool's again afterwards."""
    try:
        packed = msgspec.msgpack.decode(payload, type=_Packed)
    except UNDECODABLE as error:
        raise StateFrameError(f"not a state frame: {error}") from error
    if not 0 <= packed.rows <= MAX_ROWS:
        raise StateFrameError(f"a frame of {packed.rows} rows is over the limit of {MAX_ROWS}")
    widths, columns = _widths(schema), {}
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
