"""Snapshots: the state of an area at single ticks, beside the table that the simulator goes on with.

Readers, observers, checkpoints and the state stream use snapshots while the next ticks are computed. A column that did
not change is shared with the snapshot before, so that a snapshot costs a copy of the changed columns.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pairsim.model.state.table import TableView
from pairsim.model.state.table_memory import TableArrays
from pairsim.replication.sync.buffers import BorrowedBuffer, BufferPool, ByteColumn, bytes_of, copy_column

ID_COLUMN = "id"
"""The name of the column of ids among the buffers of a snapshot."""

_FIRST_WORDS, _WORDS = 2**9, 2**15
"""The lengths of the pieces of a comparison. Most columns that changed differ early; a piece fits into the cache."""


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

    def take(self, view: TableView) -> Snapshot:
        """Returns the state that the table has now."""
        last = self._last
        buffers: dict[str, BorrowedBuffer] = {}
        for name, array in {ID_COLUMN: view.ids, **view.columns()}.items():
            column = bytes_of(array)
            before = last.buffers[name] if last is not None else None
            same_ids = name == ID_COLUMN and last is not None and (view.layout, len(view)) == (last.layout, len(last))
            unchanged = before is not None and (same_ids or _equal(before.data, column))
            buffers[name] = before if before is not None and unchanged else copy_column(self._pool, column)
        self._last = Snapshot(view, buffers, self._pool)
        return self._last

    def forget(self) -> None:
        """Drops the reference to the last snapshot; the next one copies all columns."""
        self._last = None


def _equal(old: ByteColumn, new: ByteColumn) -> bool:
    """Compares two columns piece by piece, and ends at the first difference.

    Numbers of eight bytes are compared, since the comparison writes a byte for each pair.
    """
    if old.nbytes != new.nbytes:
        return False
    whole = old.nbytes // 8 * 8
    old_words, new_words = old[:whole].view(np.uint64), new[:whole].view(np.uint64)
    begin, size = 0, _FIRST_WORDS
    while begin < len(old_words):
        piece = slice(begin, begin + size)
        if not np.array_equal(old_words[piece], new_words[piece]):
            return False
        begin, size = begin + size, _WORDS
    return np.array_equal(old[whole:], new[whole:])
