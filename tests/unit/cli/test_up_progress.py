"""The lines of `pairsim up` about redundancy."""

from __future__ import annotations

from pairsim.model.world_status import AreaStatusView, ProcessRow, ReplicaRow, WorldStatus
from pairsim_controller.cli.progress import ProgressReporter
from pairsim_controller.reconcile.redundancy_tracker import REPORT_AFTER_SECONDS
from tests.unit.controller.builders import BOX

BEGAN = 100.0
READY = "the world is ready"


def area(*roles: str, missing: str = "", name: str = "west", entities: int = 7) -> AreaStatusView:
    """An area with replicas as `name:role`."""
    replicas = [ReplicaRow(word.split(":")[0], word.split(":")[1], 1, 5, 0, entities, "http://x", 1) for word in roles]
    return AreaStatusView(name, "plane", BOX, not missing, 1, replicas, ProcessRow("http://w", 1), missing)


class Story:
    """An announcer, asked at times that are relative to the start."""

    def __init__(self) -> None:
        self._announcer = ProgressReporter(BEGAN, READY)

    def at(self, seconds: float, *areas: AreaStatusView) -> list[str]:
        return list(self._announcer.new_messages(WorldStatus(list(areas), []), BEGAN + seconds))


PAIR = area("a:active", "b:passive")
ALONE = area("a:active", missing="a is active alone")
BEGUN = "west: redundant after 3.00 s: a (active) and b (passive), 7 entities"


def begun() -> Story:
    story = Story()
    assert story.at(3, PAIR) == [BEGUN, READY]
    return story


def test_the_start_is_reported_once_when_it_is_done() -> None:
    story = Story()
    assert story.at(0, area(missing="no replica can be reached")) == []
    assert story.at(60, area("a:passive", missing="a is passive, and none is active")) == []
    assert story.at(61, PAIR) == [BEGUN.replace("3.00", "61.00"), READY]
    assert story.at(62, PAIR) == []


def test_the_world_is_ready_when_every_area_has_been_redundant() -> None:
    story = Story()
    east = area("c:active", "d:passive", name="east")
    assert story.at(3, PAIR, area(missing="no replica can be reached", name="east")) == [BEGUN]
    told = story.at(5, ALONE, east)
    assert told == ["east: redundant after 5.00 s: c (active) and d (passive), 7 entities", READY]
    assert READY not in story.at(9, PAIR, east)


def test_a_replacement_within_a_second_is_one_sentence() -> None:
    story = begun()
    assert story.at(10, ALONE) == []
    assert story.at(10.5, area("b:active", "c:joining", missing="c is joining")) == []
    assert story.at(10.7, area("b:active", "c:passive")) == [
        "west: redundant again after 0.70 s: b (active) and c (passive), 7 entities"
    ]


def test_a_short_gap_with_the_same_members_is_not_reported() -> None:
    story = begun()
    assert story.at(10, area("a:active", "b:passive", missing="b is not in sync")) == []
    assert story.at(10.9, PAIR) == []
    assert story.at(12, area("a:active", "b:passive", missing="b is not in sync")) == [], "it began anew"


def test_a_longer_gap_is_reported_once_with_its_reason_and_its_end() -> None:
    story = begun()
    assert story.at(10, ALONE) == []
    assert story.at(10 + REPORT_AFTER_SECONDS, ALONE) == ["west: not redundant for 1 s: a is active alone"]
    assert story.at(30, area(missing="no replica can be reached")) == []
    assert story.at(40.5, PAIR) == ["west: redundant again after 30.50 s: a (active) and b (passive), 7 entities"]
    assert story.at(41, PAIR) == []


def test_a_change_of_roles_without_a_gap_is_reported() -> None:
    story = begun()
    assert story.at(10, area("b:active", "a:passive")) == ["west: redundant: b (active) and a (passive), 7 entities"]


def test_each_area_is_reported_separately() -> None:
    story = Story()
    east = area("c:active", "d:passive", name="east")
    story.at(3, PAIR, east)
    story.at(10, ALONE, east)
    story.at(10.5, ALONE, area("c:active", name="east", missing="c is active alone"))
    told = story.at(11, ALONE, area("c:active", name="east", missing="c is active alone"))
    assert told == ["west: not redundant for 1 s: a is active alone"]
