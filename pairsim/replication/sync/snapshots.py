"""Snapshots: the state of an area at single ticks, beside the table that the simulator goes on with.

Readers, observers, checkpoints and the state stream use snapshots while the next ticks are computed. A column that did
not change is shared with the snapshot before, so that a snapshot costs a copy of the changed columns.

The table may lie in memory that a wild engine writes to at any time. So each byte is read once: a piece is compared or
copied, and what the snapshot has of it then goes into the digest, while it is still in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from pairsim.model.state.digest import RunningDigest
from pairsim.model.state.table import TableView
from pairsim.model.state.table_memory import TableArrays
from pairsim.replication.sync.buffers import BorrowedBuffer, BufferPool, ByteColumn, bytes_of

ID_COLUMN = "id"
"""The name of the column of ids among the buffers of a snapshot."""

_FIRST_BYTES, _BYTES = 2**12, 2**20
"""The lengths of the pieces of a column. Most columns that changed differ early, and a piece fits into the cache.

Measured: with pieces of 64 KiB the calls cost a third more, and above 1 MiB nothing is gained.
"""


class Snapshot(TableView):
    """A state that does not change any more. Its arrays are valid only while the snapshot is referenced.

    Attributes:
        buffers: The bytes of all columns by name, that of the ids first.
        pool: The pool of the buffers.
    """

    def __init__(self, view: TableView, buffers: Mapping[str, BorrowedBuffer], pool: BufferPool) -> None:
        """Takes the copied columns of a state, and that state, whose shapes they have."""
        ids = buffers[ID_COLUMN].data.view(np.int64)
        columns = {
            name: buffers[name].data.view(column.dtype).reshape(column.shape) for name, column in view.columns().items()
        }
        for array in (ids, *columns.values()):
            array.flags.writeable = False
        super().__init__(view.schema, TableArrays(ids, columns), len(view), view.layout)
        self.buffers, self.pool = buffers, pool


class SnapshotTaker:
    """Takes snapshots of one table, each of which shares unchanged columns with the one before. For one thread."""

    def __init__(self) -> None:
        """Starts without a snapshot."""
        self._pool = BufferPool()
        self._last: Snapshot | None = None

    def take(self, view: TableView, digest: RunningDigest | None = None) -> Snapshot:
        """Returns the state that the table has now; `digest` becomes that of the snapshot."""
        last = self._last
        buffers: dict[str, BorrowedBuffer] = {}
        for name, array in {ID_COLUMN: view.ids, **view.columns()}.items():
            before = last.buffers[name] if last is not None else None
            if name == ID_COLUMN and last is not None and (view.layout, len(view)) == (last.layout, len(last)):
                buffers[name] = last.buffers[name]
                if digest is not None:
                    digest.update(buffers[name].data)
            else:
                buffers[name] = _copied_if_changed(self._pool, bytes_of(array), before, digest)
        self._last = Snapshot(view, buffers, self._pool)
        return self._last

    def forget(self) -> None:
        """Drops the reference to the last snapshot; the next one copies all columns."""
        self._last = None


def _copied_if_changed(
    pool: BufferPool, column: ByteColumn, before: BorrowedBuffer | None, digest: RunningDigest | None
) -> BorrowedBuffer:
    """Returns the content of a column: `before` if it is the same, otherwise a copy."""
    copy = None
    if before is None or before.data.nbytes != column.nbytes:
        before = copy = BorrowedBuffer(pool, column.nbytes)
    for piece in _pieces(column.nbytes):
        if copy is None and not _equal(before.data[piece], column[piece]):
            copy = BorrowedBuffer(pool, column.nbytes)
            np.copyto(copy.data[: piece.start], before.data[: piece.start])
        taken = before if copy is None else copy
        if copy is not None:
            np.copyto(copy.data[piece], column[piece])
        if digest is not None:
            digest.update(taken.data[piece])
    return before if copy is None else copy


def _pieces(size: int) -> Iterator[slice]:
    """Cuts `size` bytes into pieces."""
    begin, length = 0, _FIRST_BYTES
    while begin < size:
        yield slice(begin, min(begin + length, size))
        begin, length = begin + length, _BYTES


def _equal(old: ByteColumn, new: ByteColumn) -> bool:
    """Compares pieces of the same length: numbers of eight bytes, since the comparison writes a byte for each pair."""
    whole = old.nbytes // 8 * 8
    if not (old[:whole].view(np.uint64) == new[:whole].view(np.uint64)).all():
        return False
    return whole == old.nbytes or bool((old[whole:] == new[whole:]).all())
