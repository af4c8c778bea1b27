"""The balance of a plane, from reports of its areas that were made at different times."""

from __future__ import annotations

import pytest

from pairsim.model.crossings.border_status import BorderStatus, Mark, NeighbourStatus, mark_spacing
from pairsim.model.crossings.conservation import Balance, balance

LINK = (NeighbourStatus(number=2),)


def area(*marks: Mark, exchanged: int = 10**9, clock: int = 10**9, linked: bool = True) -> BorderStatus:
    return BorderStatus(marks=marks, clock=clock, exchanged=exchanged, neighbours=LINK if linked else ())


def mark(clock: int, entities: int, waiting: int = 0, *, born: int = 100, died: int = 0) -> Mark:
    return Mark(clock, born, died, entities, waiting)


def test_the_newest_mark_that_all_areas_have_passed_counts() -> None:
    west = area(mark(32, 100), mark(64, 93, 7), mark(96, 80, 20))
    east = area(mark(32, 100), mark(64, 105, 1, died=2))
    assert balance("p", [west, east]) == Balance("p", born=200, died=2, present=198, on_their_way=0, unaccounted=0)


@pytest.mark.parametrize(
    ("present", "waiting", "on_their_way", "unaccounted"),
    [(100, 0, 0, 0), (100, 5, 0, 0), (97, 5, 3, 0), (95, 5, 5, 0), (94, 5, 5, 1), (101, 5, 0, -1), (99, 0, 0, 1)],
)
def test_entities_that_neither_are_anywhere_nor_wait_are_missing(
    present: int, waiting: int, on_their_way: int, unaccounted: int
) -> None:
    found = balance("p", [area(mark(32, present, waiting))])
    assert found is not None
    assert (found.on_their_way, found.unaccounted) == (on_their_way, unaccounted)


def test_without_an_active_or_without_a_common_mark_nothing_is_known() -> None:
    west, east = area(mark(32, 100)), area(mark(64, 100))
    assert balance("p", [west, None]) is None
    assert balance("p", [west, east]) is None
    assert balance("p", []) is None


def test_an_area_that_has_exchanged_nothing_since_has_the_same_balance_at_other_marks() -> None:
    west = area(mark(32, 93, 7), mark(64, 100))
    quiet = area(mark(512, 104, died=3), mark(544, 103, died=4), exchanged=20, clock=550)
    found = balance("p", [west, quiet])
    assert found == Balance("p", born=200, died=4, present=203, on_their_way=0, unaccounted=-7)
    moved = area(mark(512, 104, died=3), exchanged=70, clock=550)
    assert balance("p", [west, moved]) is None
    behind = area(mark(32, 100), exchanged=20, clock=40)
    assert balance("p", [area(mark(64, 100)), behind]) is None


def test_an_area_without_links_fits_any_mark() -> None:
    found = balance("p", [area(mark(64, 100)), area(mark(6400, 50, born=50), linked=False)])
    assert found == Balance("p", born=150, died=0, present=150, on_their_way=0, unaccounted=0)


def test_the_balance_is_a_sentence() -> None:
    even = Balance("p", born=6_000, died=1, present=5_996, on_their_way=3, unaccounted=0)
    assert even.sentence == "5,996 entities: 6,000 born, 1 died, 3 on their way"
    assert Balance("p", 9, 0, 7, 0, 2).sentence == "7 entities: 9 born, 0 died, 0 on their way, 2 missing"
    assert Balance("p", 9, 0, 10, 0, -1).sentence == "10 entities: 9 born, 0 died, 0 on their way, 1 too many"


@pytest.mark.parametrize(("rate", "clocks"), [(0.2, 1), (1, 1), (10, 16), (20, 32), (32, 32), (60, 64)])
def test_a_mark_comes_every_second_or_two(rate: float, clocks: int) -> None:
    assert mark_spacing(rate) == clocks


def test_an_outbox_that_nothing_leaves_is_a_sentence() -> None:
    waits = NeighbourStatus(number=2, area="east", connected=True, waiting=1_204, waiting_seconds=5.2)
    assert waits.stalled == "1,204 entities wait for east, which has taken nothing for 5 s"
    away = NeighbourStatus(number=2, area="east", waiting=1, waiting_seconds=61)
    assert away.stalled == "1 entity waits for east, which cannot be reached and has taken nothing for 61 s"
    gone = NeighbourStatus(number=7, connected=True, waiting_seconds=9)
    assert gone.stalled == "commands wait for area number 7, which has left the map, which has taken nothing for 9 s"
    assert not NeighbourStatus(number=2, area="east", waiting=9, waiting_seconds=4.9).stalled
