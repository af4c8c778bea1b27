from __future__ import annotations

import pytest

from pairsim.replication.raft.messages import Entry
from pairsim.replication.raft.pysyncobj.log_matching import matching_prefix, term_at


def log(first: int, *terms: int) -> list[Entry]:
    return [(b"", index, term) for index, term in enumerate(terms, first)]


LOG = log(5, 1, 1, 2, 2)


@pytest.mark.parametrize(("index", "term"), [(4, None), (5, 1), (6, 1), (7, 2), (8, 2), (9, None)])
def test_only_entries_in_the_log_have_a_term(index: int, term: int | None) -> None:
    assert term_at(LOG, index) == term


@pytest.mark.parametrize(
    ("previous", "entries", "count"),
    [
        ((4, 1), log(5, 1), None),  # the entry before is compacted
        ((9, 2), log(10, 2), None),  # the entry before is beyond the end
        ((6, 2), log(7, 2), None),  # the entry before differs
        ((8, 2), [], 0),
        ((8, 2), log(9, 2, 2), 0),
        ((6, 1), [], 0),
        ((6, 1), log(7, 2), 1),
        ((6, 1), log(7, 2, 2, 3), 2),
        ((5, 1), log(6, 1, 3, 3), 1),
        ((5, 1), log(6, 3), 0),
    ],
)
def test_the_matching_prefix_ends_at_the_first_difference(
    previous: tuple[int, int], entries: list[Entry], count: int | None
) -> None:
    assert matching_prefix(LOG, *previous, entries) == count
