"""The memory that a node and its engine share: a file (`memory_file.py`) that both map once."""

from __future__ import annotations

import contextlib
import mmap
import os

import numpy as np

from pairsim.engine.layout import HUGE_PAGE_BYTES, MemoryLayout, check_layout
from pairsim.model.state.schema import Schema
from pairsim.model.state.table import Table
from pairsim.model.state.table_memory import TableArrays, TableFullError, next_capacity

_LARGE_BYTES = 2 * HUGE_PAGE_BYTES
"""Columns of at least this length get huge pages, where the kernel allows that."""


class SharedMemory:
    """The mapping of the tables in one of the two processes."""

    def __init__(self, fd: int, layout: MemoryLayout, schema: Schema) -> None:
        """Maps the file.

        Raises:
            OSError: The process may not have so many addresses.
            TableFullError: The layout does not fit the schema or the file.
        """
        check_layout(layout, schema, os.fstat(fd).st_size)
        self.layout, self.schema = layout, schema
        self._map = mmap.mmap(fd, layout.total_bytes)
        self._map.madvise(mmap.MADV_DONTDUMP)  # a core file of terabytes would delay the end of the process

    def table(self, number: int) -> Table:
        """Returns an empty table on the memory."""
        return Table(self.schema, MappedTableMemory(self._map, self.layout, self.schema, number))


class MappedTableMemory:
    """The memory of one of the tables."""

    def __init__(self, mapped: mmap.mmap, layout: MemoryLayout, schema: Schema, number: int) -> None:
        """Takes the mapping of the whole memory, and the number of the table."""
        self._map, self._capacity = mapped, layout.capacity
        self._begins = [number * layout.table_bytes + offset for offset in layout.offsets]
        self._row_bytes = [8, *(component.row_bytes for component in schema)]
        ids, *begins = self._begins
        rows = layout.capacity
        self._ids = np.frombuffer(mapped, np.int64, rows, ids)
        self._columns = {
            c.name: np.frombuffer(mapped, c.dtype, rows * c.width, begin).reshape((rows, c.width)[: 1 + (c.width > 1)])
            for c, begin in zip(schema, begins, strict=True)
        }

    def reserve(self, arrays: TableArrays | None, kept: int, rows: int) -> TableArrays:
        """Returns longer views of the same arrays."""
        if rows > self._capacity:
            raise TableFullError(f"the area has room for {self._capacity:,} entities, not for {rows:,}")
        reserved = min(self._capacity, next_capacity(0 if arrays is None else len(arrays.ids), rows))
        self._use_huge_pages(reserved)
        return TableArrays(self._ids[:reserved], {name: column[:reserved] for name, column in self._columns.items()})

    def _use_huge_pages(self, rows: int) -> None:
        for begin, width in zip(self._begins, self._row_bytes, strict=True):
            if rows * width >= _LARGE_BYTES:
                first = -(-begin // HUGE_PAGE_BYTES) * HUGE_PAGE_BYTES
                with contextlib.suppress(OSError):  # the kernel was built without huge pages
                    self._map.madvise(mmap.MADV_HUGEPAGE, first, begin + rows * width - first)
