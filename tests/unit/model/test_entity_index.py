"""The lookup of rows by id says what a dictionary says, whatever the ids are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pairsim.model.state.entity_index import EntityIndex

ids = st.one_of(st.integers(0, 40), st.integers(0, 40).map(lambda k: k << 21), st.integers(-(2**63), 2**63 - 1))
steps = st.lists(st.tuples(st.booleans(), st.lists(ids, max_size=70)), max_size=25)


def whole(entities: list[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(entities, np.int64)


def check(index: EntityIndex, known: dict[int, int], asked: list[int]) -> None:
    assert len(index) == len(known)
    looked_up = [*known, *asked]
    expected = [known.get(entity, -1) for entity in looked_up]
    assert index.rows(whole(looked_up)).tolist() == expected
    assert [index.row(entity) for entity in looked_up] == expected


@settings(deadline=None)
@given(st.lists(ids, unique=True), steps)
def test_it_is_a_dictionary(first: list[int], happened: list[tuple[bool, list[int]]]) -> None:
    index = EntityIndex(whole(first))
    known = dict(zip(first, range(len(first)), strict=True))
    for removes, named in happened:
        if removes:
            gone = [entity for entity in dict.fromkeys(named) if entity in known]
            index.remove(whole(gone))
            for entity in gone:
                del known[entity]
        else:
            new = {entity: row for row, entity in enumerate(dict.fromkeys(named)) if entity not in known}
            index.insert(whole(list(new)), whole(list(new.values())))
            known |= new
            index.move(whole(list(known)), whole([row + 1 for row in known.values()]))
            known = {entity: row + 1 for entity, row in known.items()}
        check(index, known, named)


def test_it_stays_small_and_right_while_ids_come_and_go() -> None:
    index = EntityIndex(np.arange(500))
    for turn in range(200):
        old, new = np.arange(500) + 500 * turn, np.arange(500) + 500 * (turn + 1)
        index.remove(old)
        index.insert(new, new - old)
        assert (index.rows(old) == -1).all()
        assert (index.rows(new) == 500).all()
    assert index.nbytes <= EntityIndex(np.arange(1000)).nbytes


@pytest.mark.parametrize("stride", [1, 8, 1024, 2**21, 2**40])
def test_ids_at_any_distance_find_their_places_nearby(stride: int) -> None:
    """A lookup that walks far costs as many rounds of numpy operations as it has steps."""
    entities = np.arange(4096) * stride
    index = EntityIndex(entities)
    assert (index.rows(entities) == np.arange(4096)).all()
    assert index.longest_walk() < 64


def test_runs_of_ids_do_not_wait_for_one_another() -> None:
    entities = np.concatenate([np.arange(4096) + (run << 40) for run in range(4)])
    assert EntityIndex(entities).longest_walk() < 64


def unmixed(hashed: int) -> int:
    """Returns what the finalizer of SplitMix64 turns into a number, if the last shift is left out."""
    hashed = hashed * pow(0x94D049BB133111EB, -1, 2**64) % 2**64
    hashed ^= hashed >> 27 ^ hashed >> 54
    hashed = hashed * pow(0xBF58476D1CE4E5B9, -1, 2**64) % 2**64
    return hashed ^ hashed >> 30 ^ hashed >> 60


def test_clients_cannot_choose_ids_that_share_a_place() -> None:
    eights = [unmixed(x) for x in range(20_000)]
    chosen = np.array([eight << 3 for eight in eights if eight < 2**60], np.int64)
    assert len(chosen) > 1000
    assert EntityIndex(chosen).longest_walk() < 64
