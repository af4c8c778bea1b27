"""Delays before restarts, and messages about them."""

from __future__ import annotations

from pairsim_controller.local.restart_backoff import (
    FIRST_DELAY_SECONDS,
    HEALTHY_SECONDS,
    MAX_DELAY_SECONDS,
    RestartBackoff,
)

SOON = HEALTHY_SECONDS - 0.1


def test_the_delay_grows_while_the_process_ends_soon_after_its_start() -> None:
    backoff = RestartBackoff()
    delays = [backoff.on_end("it fell", SOON)[0] for _ in range(8)]
    assert delays == [FIRST_DELAY_SECONDS, 0.2, 0.4, 0.8, 1.6, 3.2, MAX_DELAY_SECONDS, MAX_DELAY_SECONDS]


def test_a_healthy_run_resets_the_backoff() -> None:
    backoff = RestartBackoff()
    for _ in range(5):
        backoff.on_end("it fell", SOON)
    assert backoff.on_end("it fell", HEALTHY_SECONDS) == (FIRST_DELAY_SECONDS, "it fell")


def test_the_same_end_is_reported_less_and_less_often() -> None:
    backoff = RestartBackoff()
    messages = [backoff.on_end("it fell", 1.0)[1] for _ in range(9)]
    assert [message for message in messages if message] == [
        "it fell", "it fell, 2 times in a row", "it fell, 4 times in a row", "it fell, 8 times in a row",
    ]  # fmt: skip
    assert messages[7] == "it fell, 8 times in a row"


def test_another_end_is_reported_and_keeps_the_delay() -> None:
    backoff = RestartBackoff()
    for _ in range(3):
        backoff.on_end("it fell", 1.0)
    assert backoff.on_end("it broke", 1.0) == (0.8, "it broke")
    assert backoff.on_end("it fell", 1.0) == (1.6, "it fell")
