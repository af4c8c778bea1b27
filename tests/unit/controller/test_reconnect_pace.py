"""The pauses between attempts to reach processes: short for a few, and within one budget for many."""

from __future__ import annotations

from pairsim_controller.reconcile.reconnect_pace import (
    FIRST_RETRY_SECONDS,
    LONGEST_CROWDED_SECONDS,
    LONGEST_RETRY_SECONDS,
    ReconnectPace,
)


def lost(pace: ReconnectPace, number: int) -> None:
    """Has so many processes end."""
    for one in range(number):
        pace.failed(f"sim-{one}", 1)


def test_one_process_is_tried_more_and_more_slowly() -> None:
    pace = ReconnectPace()
    pauses = [pace.failed("sim-1", failures) for failures in range(1, 2_000)]
    assert pauses[0] == FIRST_RETRY_SECONDS
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_RETRY_SECONDS


def test_many_processes_share_a_budget_of_attempts() -> None:
    pace = ReconnectPace()
    lost(pace, 75)
    assert pace.failed("sim-0", 2) == 1.5
    lost(pace, 5_000)
    assert pace.failed("sim-0", 2) == LONGEST_CROWDED_SECONDS


def test_a_connection_that_just_broke_is_tried_at_once_however_many_are_lost() -> None:
    pace = ReconnectPace()
    lost(pace, 1_000)
    assert pace.failed("sim-0", 1) == FIRST_RETRY_SECONDS


def test_processes_that_were_reached_do_not_count() -> None:
    pace = ReconnectPace()
    lost(pace, 75)
    for one in range(74):
        pace.reached(f"sim-{one}")
    assert pace.failed("sim-74", 10) == LONGEST_RETRY_SECONDS
