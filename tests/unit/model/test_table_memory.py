"""Two tables on the same arrays, as a node and its engine have them."""

from __future__ import annotations

import numpy as np
import pytest

from pairsim.model.state.schema import Component, Schema
from pairsim.model.state.table import Table
from pairsim.model.state.table_memory import OwnMemory, TableArrays, TableFullError, next_capacity

SCHEMA = Schema((Component("value", "int64"), Component("place", "float32", 3)))
ROWS = 100


class Fixed:
    """Arrays that both sides have, and that never move."""

    def __init__(self, rows: int = ROWS) -> None:
        self._whole = OwnMemory(SCHEMA).reserve(None, 0, rows)

    def reserve(self, arrays: TableArrays | None, kept: int, rows: int) -> TableArrays:
        if rows > len(self._whole.ids):
            raise TableFullError(f"there is room for {len(self._whole.ids)} rows")
        some = min(len(self._whole.ids), next_capacity(0 if arrays is None else len(arrays.ids), rows))
        return TableArrays(self._whole.ids[:some], {name: c[:some] for name, c in self._whole.columns.items()})


def sides() -> tuple[Table, Table]:
    memory = Fixed()
    return Table(SCHEMA, memory), Table(SCHEMA, memory)


def spawned(table: Table, *ids: int) -> None:
    table.spawn(np.array(ids), {"value": np.array(ids) * 10})


def test_rows_that_one_side_writes_are_those_of_the_other() -> None:
    node, engine = sides()
    spawned(engine, *range(80))
    node.take_over(80, ids_changed=True)
    assert node.digest() == engine.digest()
    assert node.row(79) == 79
    node.despawn(np.array([0]))
    engine.take_over(79, ids_changed=True)
    assert engine.digest() == node.digest()
    assert engine.row(79) == 0
    assert 0 not in engine


def test_the_lookup_is_kept_while_the_ids_are_the_same() -> None:
    node, engine = sides()
    spawned(engine, 1, 2, 3)
    node.take_over(3, ids_changed=True)
    assert node.rows(np.arange(100)).tolist()[:4] == [-1, 0, 1, 2]
    index, layout = node._index, node.layout
    engine.column("value")[:] = 7
    node.take_over(3, ids_changed=False)
    assert node.column("value").tolist() == [7, 7, 7]
    assert (node._index, node.layout) == (index, layout)
    assert node._index is index


def test_another_number_of_rows_is_another_layout_in_any_case() -> None:
    node, engine = sides()
    spawned(engine, 1, 2, 3)
    node.take_over(3, ids_changed=True)
    layout = node.layout
    assert 3 in node
    node.take_over(2, ids_changed=False)
    assert 3 not in node
    assert node.layout != layout


def test_a_table_does_not_grow_beyond_its_memory() -> None:
    table = Table(SCHEMA, Fixed())
    spawned(table, *range(ROWS))
    before = table.digest()
    for change in (
        lambda: spawned(table, ROWS),
        lambda: table.resize(ROWS + 1),
        lambda: table.take_over(ROWS + 1, ids_changed=True),
    ):
        with pytest.raises(TableFullError):
            change()
    assert (len(table), table.digest()) == (ROWS, before)


def test_a_content_is_replaced_by_a_copy() -> None:
    table, other = Table(SCHEMA), Table(SCHEMA, Fixed())
    spawned(table, 5, 6)
    spawned(other, 1, 2, 3)
    other.assign(table.ids, table.columns())
    assert other.digest() == table.digest()
    assert (other.row(6), other.row(1)) == (1, None)
    table.column("value")[:] = 0
    assert other.column("value").tolist() == [50, 60]
