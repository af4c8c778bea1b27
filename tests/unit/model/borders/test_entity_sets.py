"""Sets of ids and numbers of entities are those that Python's own have."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pairsim.model.borders.entity_sets import EntityNumbers, Ids, IdSet

IDS = st.integers(0, 60) | st.integers(0, 2**63 - 1)


def array(values: list[int] | set[int]) -> Ids:
    return np.array(list(values), np.int64)


@settings(max_examples=200, deadline=None)
@given(st.lists(IDS, unique=True), st.lists(IDS, max_size=200))
def test_a_set_of_ids_is_a_set(members: list[int], asked: list[int]) -> None:
    ids = IdSet(array(members))
    assert ids.mask(array(asked)).tolist() == [value in set(members) for value in asked]
    places, in_set = ids.find(array(asked))
    assert [asked[place] for place in places] == [members[place] for place in in_set]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["put", "without", "above"]), st.sets(st.integers(0, 20)), st.integers(0, 9)))
)
def test_numbers_of_entities_are_a_dictionary(changes: list[tuple[str, set[int], int]]) -> None:
    numbers, known = EntityNumbers(), dict[int, int]()
    for change, ids, number in changes:
        before = dict(zip(numbers.ids.tolist(), numbers.numbers.tolist(), strict=True))
        kept = numbers
        match change:
            case "put":
                numbers = numbers.put(array(ids), number)
                known |= dict.fromkeys(ids, number)
            case "without":
                numbers = numbers.without(array(ids))
                known = {entity: n for entity, n in known.items() if entity not in ids}
            case _:
                numbers = numbers.above(number)
                known = {entity: n for entity, n in known.items() if n > number}
        assert dict(zip(numbers.ids.tolist(), numbers.numbers.tolist(), strict=True)) == known
        assert numbers.ids.tolist() == sorted(known)
        assert numbers.mask(np.arange(21)).tolist() == [entity in known for entity in range(21)]
        assert dict(zip(kept.ids.tolist(), kept.numbers.tolist(), strict=True)) == before
