"""Where ids and columns lie in the memory that a node and its engine share.

The memory is one sparse file. Its first bytes hold the word that shows whether the engine lives; then come two tables
of the same layout, each with room for the most rows, so that nothing ever moves. Pages that nothing was written to cost
nothing.
"""

from __future__ import annotations

import msgspec

from pairsim.engine.descriptors import HEADER_BYTES
from pairsim.model.state.schema import Schema
from pairsim.model.state.table_memory import TableFullError

MOST_ROWS = 50_000_000
TABLES = 2
"""Table 0 has the state of the area; table 1 is for ticks that are only compared."""

MAX_COLUMNS = 1024
HUGE_PAGE_BYTES = 2 * 2**20
_STAGGER_BYTES, _STAGGERS = 4096 + 256, 16
"""Columns begin at different distances from a huge page: equal ones would share few lines of the processor's caches."""

_MAX_BYTES = 2**46
"""Half of the addresses that a process has on most machines."""

_ID_BYTES = 8


class MemoryLayout(msgspec.Struct, frozen=True):
    """The places of the tables, in bytes.

    Attributes:
        capacity: The most rows of a table.
        table_bytes: The distance from a table to the next.
        offsets: The begin of the ids, then of each column, in the first table.
    """

    capacity: int
    table_bytes: int
    offsets: tuple[int, ...]

    @property
    def total_bytes(self) -> int:
        """The length of the whole memory."""
        return TABLES * self.table_bytes


def make_layout(schema: Schema, most_rows: int = MOST_ROWS) -> MemoryLayout:
    """Returns the layout for a schema, with room for at most `most_rows` rows."""
    sizes = (_ID_BYTES, *(component.row_bytes for component in schema))
    gaps = HEADER_BYTES + len(sizes) * (2 * HUGE_PAGE_BYTES)
    capacity = max(1, min(most_rows, (_MAX_BYTES // TABLES - gaps) // sum(sizes)))
    offsets = []
    end = HEADER_BYTES
    for number, size in enumerate(sizes):
        begin = _whole_huge_pages(end) + number % _STAGGERS * _STAGGER_BYTES
        offsets.append(begin)
        end = begin + capacity * size
    return MemoryLayout(capacity, _whole_huge_pages(end), tuple(offsets))


def check_layout(layout: MemoryLayout, schema: Schema, size: int) -> None:
    """Checks that the arrays of a schema lie within a memory of `size` bytes.

    Raises:
        TableFullError: They do not.
    """
    sizes = (_ID_BYTES, *(component.row_bytes for component in schema))
    if len(sizes) != len(layout.offsets) or layout.total_bytes > size:
        raise TableFullError("the memory has another layout than the simulator's components")
    for begin, width in zip(layout.offsets, sizes, strict=True):
        if begin < HEADER_BYTES or begin + layout.capacity * width > layout.table_bytes:
            raise TableFullError("a column does not lie within the memory")


def _whole_huge_pages(size: int) -> int:
    return -(-size // HUGE_PAGE_BYTES) * HUGE_PAGE_BYTES
