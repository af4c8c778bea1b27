"""Peers count as having another secret only after several failures without a success."""

from __future__ import annotations

import structlog.testing

from pairsim.replication.transport.secret_mismatches import (
    MIN_FAILURES,
    TTL_SECONDS,
    SecretMismatches,
    mismatch_message,
)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_repeated_failures_count_are_logged_once_and_end_with_a_success() -> None:
    mismatches = SecretMismatches(Clock())
    with structlog.testing.capture_logs() as logs:
        for number in range(1, 10):
            assert (mismatches.peers("north") == {"b"}) == (number > MIN_FAILURES)
            mismatches.on_failure("north", "b")
    assert [(entry["peer"], entry["area"]) for entry in logs] == [("b", "north")]
    assert mismatches.peers("south") == frozenset()
    mismatches.on_success("north", "b")
    mismatches.on_failure("north", "b")
    assert mismatches.peers("north") == frozenset()


def test_failures_that_ended_count_no_more() -> None:
    clock = Clock()
    mismatches = SecretMismatches(clock)
    for _ in range(MIN_FAILURES):
        mismatches.on_failure("north", "b")
    clock.now += TTL_SECONDS
    assert mismatches.peers("north") == frozenset()
    mismatches.on_failure("north", "b")
    assert mismatches.peers("north") == frozenset()


def test_the_sentence_names_all_peers() -> None:
    assert mismatch_message(frozenset()) == ""
    assert mismatch_message(frozenset({"b"})) == "b has another secret"
    assert mismatch_message(frozenset({"c", "b"})) == "b and c have another secret"
