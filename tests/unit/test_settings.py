"""The timers of an area's groups follow from its plane."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairsim.model.area import Detection
from pairsim.settings import Timing
from tests import builders

LOWEST, HIGHEST = 100, 5000


def timing_of(milliseconds: int | msgspec.UnsetType) -> Timing:
    detection = Detection(election_timeout_ms=milliseconds)
    return Timing().of_area(msgspec.structs.replace(builders.area("west"), detection=detection))


def test_a_plane_that_says_nothing_has_the_timers_of_the_process() -> None:
    assert Timing().of_area(builders.area("west")) == timing_of(msgspec.UNSET) == Timing()


def test_the_usual_timeout_written_out_changes_nothing() -> None:
    mine, usual = timing_of(150), Timing()
    assert (mine.heartbeat, mine.election_min) == (usual.heartbeat, usual.election_min)
    assert mine.election_max == pytest.approx(usual.election_max)


@given(st.integers(LOWEST, HIGHEST))
def test_members_hear_several_heartbeats_within_any_timeout(milliseconds: int) -> None:
    timing = timing_of(milliseconds)
    assert timing.election_min == milliseconds / 1000
    assert timing.election_max == pytest.approx(1.7 * timing.election_min)
    assert 5 * timing.heartbeat <= timing.election_min + 1e-9
    assert timing.heartbeat <= Timing().heartbeat


@pytest.mark.parametrize("milliseconds", [LOWEST - 1, HIGHEST + 1])
def test_other_timeouts_are_refused(milliseconds: int) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"electionTimeoutMs": milliseconds}, Detection)
