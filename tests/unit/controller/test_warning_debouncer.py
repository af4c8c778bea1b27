"""A problem becomes a warning once, and only if it lasts."""

from __future__ import annotations

import pytest

from pairsim_controller.plan.view import Report
from pairsim_controller.reconcile.warning_debouncer import REPORT_AFTER_SECONDS, STARTUP_SECONDS, WarningDebouncer

LOST = Report("west", "sim-1 is lost")
BEGAN = 100.0
T = BEGAN + STARTUP_SECONDS
"""The time at which the startup is over."""


@pytest.fixture
def complaints() -> WarningDebouncer:
    made = WarningDebouncer()
    assert made.new_warnings([], BEGAN) == []
    return made


def test_a_lasting_problem_is_reported_once(complaints: WarningDebouncer) -> None:
    assert complaints.new_warnings([LOST], T) == []
    assert complaints.new_warnings([LOST], T + 0.9 * REPORT_AFTER_SECONDS) == []
    assert complaints.new_warnings([LOST, LOST], T + REPORT_AFTER_SECONDS) == [LOST]
    assert complaints.new_warnings([LOST], T + 2 * REPORT_AFTER_SECONDS) == []


def test_a_problem_that_returns_is_reported_again(complaints: WarningDebouncer) -> None:
    complaints.new_warnings([LOST], T)
    assert complaints.new_warnings([LOST], T + REPORT_AFTER_SECONDS) == [LOST]
    complaints.new_warnings([], T + 2 * REPORT_AFTER_SECONDS)
    assert complaints.new_warnings([LOST], T + 2.5 * REPORT_AFTER_SECONDS) == []
    assert complaints.new_warnings([LOST], T + 4 * REPORT_AFTER_SECONDS) == [LOST]


def test_reports_wait_until_the_startup_is_over(complaints: WarningDebouncer) -> None:
    assert complaints.new_warnings([LOST], BEGAN) == []
    assert complaints.new_warnings([LOST], T - 0.1) == []
    assert complaints.new_warnings([LOST], T) == [LOST], "it has lasted long enough meanwhile"


def test_a_problem_that_an_operator_has_to_end_is_reported_in_the_startup(complaints: WarningDebouncer) -> None:
    still = Report("west", "time stands still", reason="Slow", cause="other code")
    assert complaints.new_warnings([still], BEGAN) == []
    assert complaints.new_warnings([still], BEGAN + REPORT_AFTER_SECONDS) == [still]


def test_a_gap_of_less_than_a_second_is_never_reported(complaints: WarningDebouncer) -> None:
    for second in range(20):
        assert complaints.new_warnings([LOST], T + second) == []
        assert complaints.new_warnings([], T + second + 0.99) == []


def test_each_area_has_its_own_delay(complaints: WarningDebouncer) -> None:
    other = Report("east", LOST.message)
    complaints.new_warnings([LOST], T)
    assert complaints.new_warnings([LOST, other], T + REPORT_AFTER_SECONDS) == [LOST]
    assert complaints.new_warnings([LOST, other], T + 2 * REPORT_AFTER_SECONDS) == [other]
