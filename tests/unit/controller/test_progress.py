"""What counts as the progress of a replica, and how rare replacements for a lack of it become."""

from __future__ import annotations

import msgspec
import pytest

from pairsim.model.status import ReplicaStatus, Role
from pairsim_controller.plan.progress import (
    LONGEST_PAUSE_SECONDS,
    STALLED_AFTER_SECONDS,
    ProgressTracker,
    ReplacementPause,
)
from tests.unit.controller.builders import NOW, assignment, replica

JOINING = msgspec.structs.replace(
    replica("sim-2", assignment("sim-1", "sim-2", "witness-1"), Role.JOINING, tick=100), leader="sim-1"
)


def said(**change: object) -> ReplicaStatus:
    return msgspec.structs.replace(JOINING, **change)


def tracker(*statuses: tuple[ReplicaStatus, float]) -> ProgressTracker:
    made = ProgressTracker()
    for status, at in statuses:
        made.observe(status, at)
    return made


def test_a_replica_that_says_the_same_again_makes_no_progress() -> None:
    seen = tracker((said(synced_tick=7), NOW), (said(synced_tick=7, tick=120), NOW + 40))
    assert seen.stalled_seconds(NOW + 61) == 61
    assert seen.working_seconds(NOW + 61) == 0


@pytest.mark.parametrize("change", [{"synced_tick": 8}, {"received_bytes": 1}])
def test_a_newer_state_and_more_bytes_are_progress(change: dict[str, int]) -> None:
    seen = tracker((said(synced_tick=7), NOW), (said(synced_tick=7) if not change else said(**change), NOW + 50))
    assert seen.stalled_seconds(NOW + 61) == 11


def test_a_large_state_over_a_slow_link_is_progress_all_the_time() -> None:
    """Also for a replica that had a state before: it receives the whole state again."""
    seen = tracker((said(synced_tick=90, received_bytes=2_000), NOW))
    for second in range(1, 600):
        seen.observe(said(synced_tick=0, received_bytes=4_000 * second), NOW + second)
        assert seen.stalled_seconds(NOW + second) == 0


def test_the_deltas_after_a_large_state_are_progress() -> None:
    seen = tracker((said(received_bytes=10**9), NOW), (said(synced_tick=5, received_bytes=10), NOW + 1))
    seen.observe(said(synced_tick=5, received_bytes=20), NOW + 9)
    assert seen.stalled_seconds(NOW + 10) == 1


def test_a_transfer_that_is_cut_and_repeated_is_no_progress() -> None:
    seen = tracker((said(), NOW), (said(received_bytes=5_000), NOW + 5))
    for second in range(6, 80):
        seen.observe(said(received_bytes=1_000 * (second % 5)), NOW + second)
    assert seen.stalled_seconds(NOW + 80) == 75


def test_another_active_starts_the_transfer_and_the_time_again() -> None:
    seen = tracker((said(received_bytes=5_000), NOW), (said(leader="sim-3"), NOW + 50))
    assert seen.stalled_seconds(NOW + 60) == 10
    seen.observe(said(leader="sim-3", received_bytes=10), NOW + 60)
    assert seen.stalled_seconds(NOW + 60) == 0


def test_a_link_that_comes_and_goes_does_not_start_the_time_again() -> None:
    seen = tracker((said(), NOW))
    for second in range(1, 61):
        seen.observe(said(leader=None if second % 2 else "sim-1"), NOW + second)
    assert seen.stalled_seconds(NOW + 61) == 61


@pytest.mark.parametrize("change", [{"pid": 2}, {"started_at": 9.0}, {"area": "east"}, {"tick": 3}])
def test_another_life_starts_the_time_again(change: dict[str, object]) -> None:
    seen = tracker((said(synced_tick=7), NOW), (said(**{"synced_tick": 0, **change}), NOW + 50))
    assert seen.stalled_seconds(NOW + 61) == 11
    seen.restart()
    assert seen.stalled_seconds(NOW + 99) == 0


def test_a_replica_works_from_its_last_pause_on() -> None:
    seen = tracker((said(synced_tick=1), NOW), (said(synced_tick=2), NOW + 9), (said(synced_tick=3), NOW + 18))
    assert seen.working_seconds(NOW + 20) == 20
    assert seen.working_seconds(NOW + 29) == 0
    seen.observe(said(synced_tick=4), NOW + 30)
    assert seen.working_seconds(NOW + 31) == 1


def test_each_pause_is_twice_as_long_up_to_the_longest() -> None:
    pause, now, found = ReplacementPause(), NOW, []
    assert pause.remaining(now) == 0
    for _ in range(8):
        pause.on_replacement(now)
        found.append(pause.remaining(now))
        now += found[-1]
        assert pause.remaining(now) == 0
    assert found[:5] == [STALLED_AFTER_SECONDS * factor for factor in (2, 4, 8, 16, 32)]
    assert found[-1] == LONGEST_PAUSE_SECONDS


def test_an_area_that_was_well_for_long_starts_with_the_first_pause() -> None:
    pause = ReplacementPause()
    pause.on_replacement(NOW)
    first = pause.remaining(NOW)
    pause.on_replacement(NOW + 2 * first + 1)
    assert pause.remaining(NOW + 2 * first + 1) == first
