"""The results of a batch that was sent more than once."""

from __future__ import annotations

from pairsim.model.commands import Result, Status, collapse_retries


def test_a_duplicate_after_the_floor_is_the_batchs_own_first_run() -> None:
    results = [
        Result("a", Status.DUPLICATE, 7),
        Result("b", Status.DUPLICATE, 8),
        Result("c", Status.DUPLICATE, 8, "no"),
        Result("d", Status.REJECTED, 9, "no"),
    ]
    assert collapse_retries(results, 7) == [
        Result("a", Status.DUPLICATE, 7),
        Result("b", Status.APPLIED, 8),
        Result("c", Status.REJECTED, 8, "no"),
        Result("d", Status.REJECTED, 9, "no"),
    ]


def test_results_that_are_not_duplicates_stay_as_they_are() -> None:
    results = [Result("a", Status.REJECTED, 9, "no"), Result("b", Status.APPLIED, 9)]
    assert collapse_retries(results, 0) == results
