"""Groups of a table are those of the model, however deep they are, and rings of parents have one end."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pairsim.model.borders.groups import Groups
from pairsim.model.state.table import Table
from tests.simulation.models.borders.advance import _has_parent
from tests.simulation.models.borders.rules import Rules
from tests.simulation.models.borders.state import Area, Entity
from tests.unit.model.borders.examples import FLAT, SCHEMA


def table_of(parents: dict[int, int]) -> Table:
    table = Table(SCHEMA)
    ids = np.array(list(parents), np.int64)
    table.spawn(ids, {"parent": np.array(list(parents.values()), np.int64)})
    return table


def model_groups(parents: dict[int, int]) -> dict[int, set[int]]:
    """Returns the entities of each group of the model, by the one without a parent."""
    area = Area(1, 1, {}, rows={i: Entity(i, (1, i), 0.0, parent) for i, parent in parents.items()})
    roots = [row for row in area.rows.values() if not _has_parent(area, row)]
    return {root.id: {row.id for row in Rules().members(area, root)} for root in roots}


def check(parents: dict[int, int]) -> None:
    table, wanted = table_of(parents), model_groups(parents)
    groups = Groups(table)
    of_entity = {entity: root for root, members in wanted.items() for entity in members}
    roots = groups.roots(np.arange(len(table)))
    assert dict(zip(table.ids.tolist(), table.ids[roots].tolist(), strict=True)) == of_entity
    chosen = np.flatnonzero(roots == np.arange(len(table)))[::-1]
    found = groups.members(chosen)
    ends = np.cumsum(found.sizes)
    for root, first, last in zip(chosen.tolist(), ends - found.sizes, ends, strict=True):
        ids = table.ids[found.rows[first:last]].tolist()
        assert ids[0] == table.ids[root]
        assert ids[1:] == sorted(wanted[ids[0]] - {ids[0]})


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 40), st.integers(-1, 45)), max_size=40))
def test_groups_are_those_of_the_model(pairs: list[tuple[int, int]]) -> None:
    check(dict(pairs))


@pytest.mark.parametrize("length", [1, 2, 3, 5, 6, 7, 8, 9, 40, 300])
@pytest.mark.parametrize("ring", [False, True])
def test_chains_and_rings_of_any_length(length: int, ring: bool) -> None:
    order = np.random.default_rng(length).permutation(np.arange(1, length + 1)).tolist()
    parents = dict(zip(order, [order[-1] if ring else 0, *order[:-1]], strict=True))
    check({**parents, 1_000: order[0], 1_001: order[-1], 1_002: 9_999, 1_003: 0})


def test_the_group_of_one_entity_is_found_from_below() -> None:
    table = table_of({i: i - 1 for i in range(1, 30)})
    assert Groups(table).roots(np.array([29 - 1])).tolist() == [0]


def test_a_table_without_parents_has_groups_of_one() -> None:
    table = Table(FLAT)
    table.spawn(np.array([5, 7]), {})
    groups = Groups(table)
    assert groups.roots(np.array([1, 0])).tolist() == [1, 0]
    assert groups.members(np.array([1, 0])).sizes.tolist() == [1, 1]
