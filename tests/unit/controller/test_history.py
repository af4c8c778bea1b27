"""The timeline of the console."""

from __future__ import annotations

from controller.console.history import KEPT, History
from controller.picture import AreaPicture, ProcessPicture, ReplicaPicture
from pairsim.model.geometry import Box


def area(active: str, term: int = 1, *, redundant: bool = True, passive: str = "") -> AreaPicture:
    def replica(name: str, role: str) -> ReplicaPicture:
        return ReplicaPicture(
            replica=name, role=role, term=term, tick=10 * term, lag_ticks=0, entities=5, url="http://x", pid=1
        )

    return AreaPicture(
        area="west",
        plane="physics",
        bounds=Box((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
        redundant=redundant,
        generation=1,
        replicas=[replica(name, role) for name, role in ((active, "active"), (passive, "passive")) if name],
        witness=ProcessPicture("http://w", 2),
    )


def told(history: History) -> list[tuple[str, str, str, int]]:
    return [(event.kind, event.before, event.replica, event.term) for event in history.events]


def test_actives_are_told_by_how_they_became_so() -> None:
    history = History()
    for seen in (area("a"), area("a"), area("b", 2), area("b", 3)):
        history.see([seen], 1.0)
    assert told(history) == [("founded", "", "a", 1), ("takeover", "a", "b", 2), ("renewed", "b", "b", 3)]


def test_an_active_that_follows_its_successor_has_handed_over() -> None:
    history = History()
    for seen in (area("a", passive="b"), area("b", 2, passive="a"), area("c", 3, passive="a")):
        history.see([seen], 1.0)
    assert [kind for kind, *_ in told(history)] == ["founded", "switchover", "takeover"]


def test_an_area_without_an_active_or_with_an_old_one_is_no_news() -> None:
    history = History()
    for seen in (area("a", 3), area("", 3, passive="b"), area("b", 2), area("a", 3)):
        history.see([seen], 1.0)
    assert told(history) == [("founded", "", "a", 3)]


def test_redundancy_is_told_when_it_goes_and_when_it_is_back_but_not_before_it_was_there() -> None:
    history = History()
    for now, redundant in ((0.0, False), (1.0, True), (2.0, False), (2.5, False), (4.0, True)):
        history.see([area("a", redundant=redundant)], now)
    assert [(event.kind, event.seconds) for event in history.events] == [("founded", 0), ("lost", 0), ("restored", 2.0)]


def test_events_are_numbered_and_bounded() -> None:
    history = History()
    for term in range(1, KEPT + 50):
        history.see([area("a" if term % 2 else "b", term)], float(term))
    assert len(history.events) == KEPT
    assert [event.number for event in history.events] == list(range(50, KEPT + 50))
