"""When a process that ended is started again, and what is told."""

from __future__ import annotations

from pairsim_controller.local.restart_backoff import (
    FIRST_DELAY_SECONDS,
    HEALTHY_SECONDS,
    MAX_DELAY_SECONDS,
    RestartBackoff,
)

SOON = HEALTHY_SECONDS - 0.1


def test_the_pause_grows_as_long_as_it_ends_soon_after_its_start() -> None:
    restarts = RestartBackoff()
    pauses = [restarts.on_end("it fell", SOON)[0] for _ in range(8)]
    assert pauses == [FIRST_DELAY_SECONDS, 0.2, 0.4, 0.8, 1.6, 3.2, MAX_DELAY_SECONDS, MAX_DELAY_SECONDS]


def test_who_has_worked_begins_anew() -> None:
    restarts = RestartBackoff()
    for _ in range(5):
        restarts.on_end("it fell", SOON)
    assert restarts.on_end("it fell", HEALTHY_SECONDS) == (FIRST_DELAY_SECONDS, "it fell")


def test_the_same_end_is_told_less_and_less_often() -> None:
    restarts = RestartBackoff()
    told = [restarts.on_end("it fell", 1.0)[1] for _ in range(9)]
    assert [sentence for sentence in told if sentence] == [
        "it fell", "it fell, 2 times in a row", "it fell, 4 times in a row", "it fell, 8 times in a row",
    ]  # fmt: skip
    assert told[7] == "it fell, 8 times in a row"


def test_another_end_is_news_but_no_reason_to_hurry() -> None:
    restarts = RestartBackoff()
    for _ in range(3):
        restarts.on_end("it fell", 1.0)
    assert restarts.on_end("it broke", 1.0) == (0.8, "it broke")
    assert restarts.on_end("it fell", 1.0) == (1.6, "it fell")
