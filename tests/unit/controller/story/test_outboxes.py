"""The history of outboxes from which another area takes nothing."""

from __future__ import annotations

import msgspec

from pairsim.model.crossings.border_status import BorderStatus, NeighbourStatus
from pairsim.model.status import ReplicaStatus, Role, SimulatorPhase, SimulatorState
from pairsim_controller.story.area_story import AreaStory
from pairsim_controller.story.outbox_tracker import RECHECK_SECONDS, OutboxTracker
from tests.unit.controller.builders import assignment, pair, process, replica, view

FIRST = assignment("sim-1", "sim-2", "witness-1")
_ACTIVE, PASSIVE, WITNESS = pair(FIRST)


def active(waiting: int, seconds: float, *, term: int = 1, number: int = 2) -> ReplicaStatus:
    link = NeighbourStatus(number=number, area="east", connected=True, waiting=waiting, waiting_seconds=seconds)
    return msgspec.structs.replace(
        replica("sim-1", FIRST, Role.ACTIVE, term=term), borders=BorderStatus(neighbours=(link,))
    )


def sentences(tracker: OutboxTracker, *looks: tuple[float, ReplicaStatus | None]) -> list[str]:
    return [change.sentence for now, status in looks for change in tracker.observe(status, now)]


def test_a_wait_and_its_end_are_told_once_each() -> None:
    looks = [
        (100.0, active(3, 0.1)), (104.0, active(900, 4.0)), (105.2, active(1204, 5.2)), (106.0, active(1400, 6.0)),
        (112.0, active(1, 0.1)), (113.0, active(1, 0.1)), (130.0, active(9, 5.0)),
    ]  # fmt: skip
    assert sentences(OutboxTracker(), *looks) == [
        "1,204 entities wait for east, which has taken nothing for 5 s",
        "entities go to east again after 12 s",
        "9 entities wait for east, which has taken nothing for 5 s",
    ]


def test_a_takeover_of_the_area_that_waits_does_not_end_the_wait() -> None:
    """The new active counts from its own beginning."""
    looks = [
        (100.0, active(9, 5.0)), (101.0, None), (102.0, active(9, 0.5, term=2)), (108.0, active(9, 6.5, term=2)),
        (120.0, active(0, 0.0, term=2)),
    ]  # fmt: skip
    assert sentences(OutboxTracker(), *looks) == [
        "9 entities wait for east, which has taken nothing for 5 s", "entities go to east again after 25 s",
    ]  # fmt: skip


def test_an_area_that_stands_still_says_nothing_of_its_neighbours() -> None:
    paused = SimulatorState("west", SimulatorPhase.PAUSED, 9.0, "tick 7")
    assert sentences(OutboxTracker(), (100.0, msgspec.structs.replace(active(9, 9.0), simulator=paused))) == []


def test_a_wait_ends_with_the_link() -> None:
    looks = [(100.0, active(9, 5.0)), (103.0, active(9, 0.1, number=3))]
    assert sentences(OutboxTracker(), *looks)[1:] == ["entities go to east again after 8 s"]


def test_an_outbox_that_waits_is_looked_at_again() -> None:
    tracker = OutboxTracker()
    tracker.observe(active(9, 1.0), 100.0)
    assert tracker.due_at is None
    tracker.observe(active(9, 5.0), 104.0)
    assert tracker.due_at == 104.0 + RECHECK_SECONDS
    tracker.observe(active(0, 0.0), 105.0)
    assert tracker.due_at is None


def test_the_story_of_the_area_has_both_entries() -> None:
    story = AreaStory("west")
    found = []
    for now, status in ((100.0, active(9, 5.0)), (110.0, active(0, 0.0))):
        look = view(process("sim-1", status), PASSIVE, WITNESS, recorded=(FIRST,))
        found += [e for e in story.observe(look, now, now).entries if e.kind in {"waiting", "flowing"}]
        assert (story.due_at == now + RECHECK_SECONDS) is (now == 100.0)
    assert [(entry.kind, entry.seconds, entry.line) for entry in found] == [
        ("waiting", 5.0, "west: 9 entities wait for east, which has taken nothing for 5 s"),
        ("flowing", 15.0, "west: entities go to east again after 15 s"),
    ]
