from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pairsim.model.state.schema import Component, Schema
from pairsim.model.state.table import Table

SCHEMA = Schema((Component("value", "int64"), Component("place", "float32", 3)))
STEPS = st.lists(
    st.tuples(st.sampled_from(["spawn", "despawn", "resize", "copy"]), st.lists(st.integers(0, 30))), max_size=20
)


class Model:
    """The table as a list of rows."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int]] = []

    def despawn(self, entity: int) -> None:
        place = next(i for i, row in enumerate(self.rows) if row[0] == entity)
        self.rows[place] = self.rows[-1]
        self.rows.pop()


@given(STEPS)
@settings(deadline=None, max_examples=200)
def test_a_table_is_a_list_of_rows_with_the_last_one_filling_holes(steps: list[tuple[str, list[int]]]) -> None:
    table, model = Table(SCHEMA), Model()
    for serial, (what, ids) in enumerate(steps):
        known = {row[0] for row in model.rows}
        layout = table.layout
        if what == "spawn":
            new = [i for i in dict.fromkeys(ids) if i not in known]
            table.spawn(np.array(new, np.int64), {"value": np.array([serial * 100 + i for i in new])})
            model.rows += [(i, serial * 100 + i) for i in new]
        elif what == "despawn":
            gone = [i for i in dict.fromkeys(ids) if i in known]
            table.despawn(np.array(gone, np.int64))
            for entity in gone:
                model.despawn(entity)
        elif what == "resize" and len(ids) < len(table):
            table.resize(len(ids))
            del model.rows[len(ids) :]
            assert table.layout != layout
        else:
            before, table = table, table.copy()
            assert table.digest() == before.digest()
        assert list(zip(table.ids.tolist(), table.column("value").tolist(), strict=True)) == model.rows
        for place, (entity, _value) in enumerate(model.rows):
            assert table.row(entity) == place
        asked = np.arange(31, dtype=np.int64)
        index = {row[0]: place for place, row in enumerate(model.rows)}
        assert table.rows(asked).tolist() == [index.get(i, -1) for i in range(31)]


def test_the_first_ids_are_found_without_a_lookup_of_all() -> None:
    """The engine of a replica that takes over has none yet, and building it would take most of its first tick."""
    table = Table(SCHEMA)
    table.spawn(np.arange(1000, dtype=np.int64) * 3, {})
    for _ in range(2):
        table.ids_changed()
        for place in range(30):
            assert table.row(place * 3) == place
        assert table.rows(np.array([3, 4, 2997])).tolist() == [1, -1, 999]
        assert table.row(2**70) is None
        assert table._index is None
        assert table.rows(np.arange(100) * 3).tolist() == list(range(100))
        assert table._index is not None


def test_an_id_that_exists_is_refused_and_nothing_is_added() -> None:
    table = Table(SCHEMA)
    table.spawn(np.array([1, 2], np.int64), {})
    for ids in ([3, 1], [3, 3]):
        with pytest.raises(ValueError, match="exists already"):
            table.spawn(np.array(ids, np.int64), {})
    with pytest.raises(ValueError, match="does not exist"):
        table.despawn(np.array([2, 9], np.int64))
    assert table.ids.tolist() == [1, 2]


def test_the_digest_sees_every_bit_and_the_order_of_rows() -> None:
    table = Table(SCHEMA)
    table.spawn(np.arange(5, dtype=np.int64), {"value": np.arange(5)})
    digests = {table.digest()}
    table.column("place")[3, 1] = np.float32(1e-45)
    digests.add(table.digest())
    table.column("place")[3, 1] = np.float32(-0.0)
    digests.add(table.digest())
    table.ids[[0, 1]] = table.ids[[1, 0]]
    table.ids_changed()
    digests.add(table.digest())
    table.resize(4)
    digests.add(table.digest())
    assert len(digests) == 5
    assert table.row(0) == 1
