from __future__ import annotations

import pytest

from pairsim.replication.raft.log_matching import known, term_at
from pairsim.replication.raft.messages import Entry


def log(first: int, *terms: int) -> list[Entry]:
    return [(b"", index, term) for index, term in enumerate(terms, first)]


LOG = log(5, 1, 1, 2, 2)


@pytest.mark.parametrize(("index", "term"), [(4, None), (5, 1), (6, 1), (7, 2), (8, 2), (9, None)])
def test_an_entry_has_a_term_while_it_is_there(index: int, term: int | None) -> None:
    assert term_at(LOG, index) == term


@pytest.mark.parametrize(
    ("previous", "entries", "has"),
    [
        ((4, 1), log(5, 1), None),  # compacted
        ((9, 2), log(10, 2), None),  # beyond the end
        ((6, 2), log(7, 2), None),  # another log
        ((8, 2), [], 0),
        ((8, 2), log(9, 2, 2), 0),
        ((6, 1), [], 0),
        ((6, 1), log(7, 2), 1),
        ((6, 1), log(7, 2, 2, 3), 2),
        ((5, 1), log(6, 1, 3, 3), 1),
        ((5, 1), log(6, 3), 0),
    ],
)
def test_as_many_entries_are_known_as_agree(previous: tuple[int, int], entries: list[Entry], has: int | None) -> None:
    assert known(LOG, *previous, entries) == has
