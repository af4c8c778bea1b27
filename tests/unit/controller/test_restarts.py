"""When a process that ended is started again, and what is told."""

from __future__ import annotations

from pairsim_controller.local.restart_backoff import FIRST_PAUSE, HEALTHY, LONGEST_PAUSE, Restarts

SOON = HEALTHY - 0.1


def test_the_pause_grows_as_long_as_it_ends_soon_after_its_start() -> None:
    restarts = Restarts()
    pauses = [restarts.ended("it fell", SOON)[0] for _ in range(8)]
    assert pauses == [FIRST_PAUSE, 0.2, 0.4, 0.8, 1.6, 3.2, LONGEST_PAUSE, LONGEST_PAUSE]


def test_who_has_worked_begins_anew() -> None:
    restarts = Restarts()
    for _ in range(5):
        restarts.ended("it fell", SOON)
    assert restarts.ended("it fell", HEALTHY) == (FIRST_PAUSE, "it fell")


def test_the_same_end_is_told_less_and_less_often() -> None:
    restarts = Restarts()
    told = [restarts.ended("it fell", 1.0)[1] for _ in range(9)]
    assert [sentence for sentence in told if sentence] == [
        "it fell", "it fell, 2 times in a row", "it fell, 4 times in a row", "it fell, 8 times in a row",
    ]  # fmt: skip
    assert told[7] == "it fell, 8 times in a row"


def test_another_end_is_news_but_no_reason_to_hurry() -> None:
    restarts = Restarts()
    for _ in range(3):
        restarts.ended("it fell", 1.0)
    assert restarts.ended("it broke", 1.0) == (0.8, "it broke")
    assert restarts.ended("it fell", 1.0) == (1.6, "it fell")
