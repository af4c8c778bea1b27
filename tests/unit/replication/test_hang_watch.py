"""A thread hangs if it is overdue for long and shows no progress."""

from __future__ import annotations

from pairsim.replication.hang_watch import HANGS_AFTER_SECONDS, HangWatch

NOW = 1_000.0
STEP = 0.1


def observed(watch: HangWatch, seconds: float, *, due: float, begin: float = NOW) -> bool:
    """Observes the same turn for some seconds; returns the last answer."""
    answer = False
    for number in range(round(seconds / STEP) + 1):
        answer = watch.observe("turn 1", due, begin + number * STEP)
    return answer


def test_an_overdue_thread_hangs_after_a_while_until_it_makes_progress() -> None:
    watch = HangWatch()
    assert not observed(watch, HANGS_AFTER_SECONDS - 2 * STEP, due=NOW)
    assert observed(watch, HANGS_AFTER_SECONDS, due=NOW, begin=NOW + HANGS_AFTER_SECONDS)
    assert not watch.observe("turn 2", NOW, NOW + 3 * HANGS_AFTER_SECONDS)


def test_a_thread_that_waits_for_its_next_turn_does_not_hang() -> None:
    watch = HangWatch()
    assert not observed(watch, 60.0, due=NOW + 60.0)
    assert not watch.observe("turn 1", NOW + 60.0, NOW + 60.1)


def test_a_pause_of_the_whole_process_is_not_a_hang() -> None:
    watch = HangWatch()
    for number in range(5):
        assert not watch.observe("turn 1", NOW, NOW + 100.0 * number)
