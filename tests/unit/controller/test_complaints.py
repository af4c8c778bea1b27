from __future__ import annotations

import pytest

from pairsim_controller.plan.view import Say
from pairsim_controller.reconcile.warning_debouncer import PATIENCE, STARTING, Complaints

LOST = Say("west", "sim-1 is lost")
BEGAN = 100.0
T = BEGAN + STARTING
"""When the start is over."""


@pytest.fixture
def complaints() -> Complaints:
    made = Complaints()
    assert made.fresh([], BEGAN) == []
    return made


def test_what_lasts_is_told_once(complaints: Complaints) -> None:
    assert complaints.fresh([LOST], T) == []
    assert complaints.fresh([LOST], T + 0.9 * PATIENCE) == []
    assert complaints.fresh([LOST, LOST], T + PATIENCE) == [LOST]
    assert complaints.fresh([LOST], T + 2 * PATIENCE) == []


def test_what_was_over_is_told_again_when_it_lasts_again(complaints: Complaints) -> None:
    complaints.fresh([LOST], T)
    assert complaints.fresh([LOST], T + PATIENCE) == [LOST]
    complaints.fresh([], T + 2 * PATIENCE)
    assert complaints.fresh([LOST], T + 2.5 * PATIENCE) == []
    assert complaints.fresh([LOST], T + 4 * PATIENCE) == [LOST]


def test_nothing_is_told_while_processes_start_but_not_forgotten(complaints: Complaints) -> None:
    assert complaints.fresh([LOST], BEGAN) == []
    assert complaints.fresh([LOST], T - 0.1) == []
    assert complaints.fresh([LOST], T) == [LOST], "it has lasted long enough meanwhile"


def test_a_gap_of_less_than_a_second_is_never_told(complaints: Complaints) -> None:
    for second in range(20):
        assert complaints.fresh([LOST], T + second) == []
        assert complaints.fresh([], T + second + 0.99) == []


def test_each_area_has_its_own_patience(complaints: Complaints) -> None:
    other = Say("east", LOST.sentence)
    complaints.fresh([LOST], T)
    assert complaints.fresh([LOST, other], T + PATIENCE) == [LOST]
    assert complaints.fresh([LOST, other], T + 2 * PATIENCE) == [other]
