"""A command goes from area to area, with one attempt more after each answer, and ends in every case."""

from __future__ import annotations

from pairsim.client.world.dispatch import Attempts
from pairsim.client.world.errand import WAIT_SECONDS, Errand
from pairsim.client.world.whereabouts import Whereabouts
from pairsim.model.commands import Result, Status
from tests.unit.server.fakes import command

AREAS = ("north", "south", "west")


def moved(area: str = "", *urls: str) -> Result:
    return Result("c", Status.MOVED, 5, area=area, urls=urls)


def test_the_entity_is_followed_and_each_area_gets_an_attempt_of_its_own() -> None:
    errand = Errand(command("c", entity=7), "north")
    assert (errand.area, errand.command.attempt) == ("north", 1)
    errand.take(moved("east", "http://e"), AREAS, 0.0)
    assert (errand.area, errand.urls, errand.command.attempt, errand.due) == ("east", ("http://e",), 2, 0.0)
    errand.take(moved("north"), AREAS, 0.0)
    assert (errand.area, errand.urls, errand.command.attempt) == ("north", (), 3)
    errand.take(Result("c", Status.APPLIED, 9), AREAS, 0.0)
    assert errand.result == Result("c", Status.APPLIED, 9)


def test_an_entity_that_has_not_arrived_is_waited_for() -> None:
    errand = Errand(command("c", entity=7), "north")
    errand.take(moved("south"), AREAS, 100.0)
    pauses, now = [], 100.0
    while errand.area == "south" and errand.result is None and now < 100.0 + 2 * WAIT_SECONDS:
        errand.take(moved(), AREAS, now)
        pauses.append(errand.due - now)
        now = max(errand.due, now + 0.001)
    assert [round(pause, 3) for pause in pauses[:4]] == [0.02, 0.04, 0.08, 0.16]
    assert now - 100.0 >= WAIT_SECONDS
    assert errand.area == "north", "after a while the others are asked: it may have come back"


def test_all_areas_are_asked_once_for_an_entity_that_nobody_knows() -> None:
    errand = Errand(command("c", entity=7), "south")
    asked = [errand.area]
    while errand.result is None:
        errand.take(moved(), AREAS, 0.0)
        asked.append(errand.area)
    assert asked[:3] == ["south", "north", "west"]
    assert errand.result == Result("c", Status.REJECTED, 5, "no area has entity 7")
    assert errand.attempt == 4


def test_an_entity_that_was_removed_after_it_moved() -> None:
    errand = Errand(command("c", entity=7), "north")
    errand.take(moved("south"), AREAS, 0.0)
    for _ in range(3):
        errand.take(moved(), AREAS, 10.0)
    assert errand.result is not None
    assert errand.result.reason == "entity 7 left north and is in no area now: it was removed, or is on its way"


def test_a_later_call_goes_on_with_the_next_attempt() -> None:
    attempts = Attempts(limit=2)
    for name, result in (("a", None), ("b", Status.APPLIED), ("c", Status.REJECTED), ("d", None)):
        errand = Errand(command(name), "north", attempts.first(name))
        errand.take(moved("south"), AREAS, 0.0)
        if result is not None:
            errand.take(Result(name, result, 5), AREAS, 0.0)
        attempts.note(errand)
    assert [attempts.first(name) for name in "abcd"] == [1, 1, 2, 2], "the oldest was forgotten"


def test_the_memory_of_places_is_bounded() -> None:
    places = Whereabouts(limit=3)
    places.note_all(range(4), "north")
    places.note(1, "south")
    places.note(9, "west")
    assert [places.get(entity) for entity in (0, 1, 2, 3, 9)] == ["", "south", "", "north", "west"]
    places.forget(9)
    assert (places.get(9), len(places)) == ("", 2)
