"""A search tries each replica that is known of an area once in a round, in an order that finds the active soon."""

from __future__ import annotations

import pytest

from pairsim.model.assignment import Member
from pairsim.model.authority import Cell
from pairsim.model.geometry import Box
from pairsim.replication.links.dialling import FIRST_PAUSE_SECONDS, ActiveSearch
from tests import builders

A, B, C, D = (builders.member(name) for name in "abcd")


def cell(*replicas: Member) -> Cell:
    return Cell(number=2, area="east", bounds=Box((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)), replicas=replicas)


def searched(search: ActiveSearch) -> list[str]:
    """Returns the replicas of a round in their order."""
    search.begin()
    found = []
    while (replica := search.next()) is not None:
        found.append(replica.replica)
    return found


def test_a_round_tries_each_replica_once() -> None:
    search = ActiveSearch(cell(A, B), 0.1)
    assert [searched(search), searched(search)] == [["a", "b"], ["a", "b"]]


def test_a_refusal_names_replicas_that_are_tried_first() -> None:
    search = ActiveSearch(cell(A, B), 0.1)
    search.begin()
    assert search.next() == A
    search.refused((A, C))
    assert [search.next(), search.next(), search.next()] == [C, B, None]
    search.refused(())
    assert searched(search) == ["a", "c", "b"]


def test_a_newer_map_counts_more_than_what_was_told() -> None:
    search = ActiveSearch(cell(A, B), 0.1)
    search.refused((C, D))
    search.redirect(cell(A, B))
    assert searched(search) == ["c", "d", "a", "b"]
    search.redirect(cell(B, C))
    assert searched(search) == ["b", "c"]
    assert search.cell.replicas == (B, C)


def test_the_replica_of_the_last_connection_is_tried_last() -> None:
    search = ActiveSearch(cell(A, B), 0.1)
    search.lost(A)
    assert searched(search) == ["b", "a"]
    search.lost(B)
    assert searched(search) == ["a", "b"]


def test_pauses_become_longer_until_there_is_a_connection() -> None:
    search = ActiveSearch(cell(A, B), 0.1)
    first = FIRST_PAUSE_SECONDS
    assert [search.pause() for _round in range(4)] == pytest.approx([first, 2 * first, 4 * first, 0.1])
    search.found()
    assert search.pause() == first
