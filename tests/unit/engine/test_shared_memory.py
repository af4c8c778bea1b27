"""The memory of a node and its engine: where columns lie, and that both sides see the same rows."""

from __future__ import annotations

import os
from collections.abc import Iterator

import msgspec
import numpy as np
import pytest

from pairsim.engine.descriptors import HEADER_BYTES
from pairsim.engine.layout import MAX_COLUMNS, MOST_ROWS, check_layout, make_layout
from pairsim.engine.memory_file import make_file, seal_length
from pairsim.engine.shared_memory import SharedMemory
from pairsim.model.state.schema import Component, Schema
from pairsim.model.state.table_memory import TableFullError

SCHEMA = Schema((Component("value", "int64"), Component("place", "float32", 3), Component("flag", "uint8")))
WIDE = Schema(tuple(Component(f"c{n}", "float64", 64) for n in range(MAX_COLUMNS)))
ROWS = 5000


@pytest.mark.parametrize("schema", [Schema(()), SCHEMA, WIDE])
def test_columns_lie_apart_within_their_table(schema: Schema) -> None:
    layout = make_layout(schema)
    sizes = [8, *(component.row_bytes for component in schema)]
    end = HEADER_BYTES
    for begin, size in zip(layout.offsets, sizes, strict=True):
        assert begin >= end
        assert begin % 64 == 0
        end = begin + layout.capacity * size
    assert layout.table_bytes >= end
    assert layout.total_bytes <= 2**46
    assert layout.capacity == (MOST_ROWS if schema is not WIDE else layout.capacity)
    check_layout(layout, schema, layout.total_bytes)


def test_a_layout_that_does_not_fit_is_refused() -> None:
    layout = make_layout(SCHEMA, ROWS)
    wrong = [
        msgspec.structs.replace(layout, capacity=2**60),
        msgspec.structs.replace(layout, offsets=layout.offsets[:-1]),
        msgspec.structs.replace(layout, offsets=(0, *layout.offsets[1:])),
        msgspec.structs.replace(layout, table_bytes=layout.table_bytes + 4096),
    ]
    for other in wrong:
        with pytest.raises(TableFullError):
            check_layout(other, SCHEMA, layout.total_bytes)


@pytest.fixture
def sides() -> Iterator[tuple[SharedMemory, SharedMemory]]:
    layout = make_layout(SCHEMA, ROWS)
    fd = make_file("tables", HEADER_BYTES)
    try:
        os.ftruncate(fd, layout.total_bytes)
        seal_length(fd)
        with pytest.raises(PermissionError):  # an engine cannot take pages away under the node
            os.ftruncate(fd, 0)
        yield SharedMemory(fd, layout, SCHEMA), SharedMemory(fd, layout, SCHEMA)
    finally:
        os.close(fd)


def test_both_sides_see_the_rows_of_both_tables(sides: tuple[SharedMemory, SharedMemory]) -> None:
    node, engine = sides
    places = np.arange(3 * ROWS, dtype=np.float32).reshape(ROWS, 3)
    for number in (0, 1):
        theirs, ours = engine.table(number), node.table(number)
        theirs.spawn(np.arange(ROWS) + number, {"value": np.arange(ROWS), "place": places, "flag": np.full(ROWS, 255)})
        ours.take_over(ROWS, ids_changed=True)
        assert ours.digest() == theirs.digest()
        assert ours.row(ROWS - 1 + number) == ROWS - 1
        ours.column("value")[3] = 99
        assert theirs.column("value")[3] == 99
    assert node.table(0).digest() != node.table(1).digest() or len(node.table(0)) == 0


def test_a_table_that_is_full_says_so(sides: tuple[SharedMemory, SharedMemory]) -> None:
    table = sides[1].table(0)
    with pytest.raises(TableFullError, match="the area has room for 5,000 entities, not for 5,001"):
        table.spawn(np.arange(ROWS + 1), {})
    assert len(table) == 0


def test_rows_that_were_not_written_cost_no_memory() -> None:
    layout = make_layout(SCHEMA)
    fd = make_file("tables", layout.total_bytes)
    try:
        table = SharedMemory(fd, layout, SCHEMA).table(0)
        table.spawn(np.arange(10), {})
        assert os.fstat(fd).st_blocks * 512 < 2**20
        assert layout.total_bytes > 2**30
    finally:
        os.close(fd)
