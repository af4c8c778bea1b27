from __future__ import annotations

from controller.complaints import PATIENCE, Complaints
from controller.view import Say

LOST = Say("west", "sim-1 is lost")


def test_what_lasts_is_told_once() -> None:
    complaints = Complaints()
    assert complaints.fresh([LOST], 0.0) == []
    assert complaints.fresh([LOST, LOST], PATIENCE) == [LOST]
    assert complaints.fresh([LOST], 2 * PATIENCE) == []


def test_what_was_over_is_told_again_when_it_lasts_again() -> None:
    complaints = Complaints()
    complaints.fresh([LOST], 0.0)
    assert complaints.fresh([LOST], PATIENCE) == [LOST]
    complaints.fresh([], 2 * PATIENCE)
    assert complaints.fresh([LOST], 2.5 * PATIENCE) == []
    assert complaints.fresh([LOST], 4 * PATIENCE) == [LOST]
