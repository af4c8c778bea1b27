"""The timeline of the console."""

from __future__ import annotations

from pairsim.model.geometry import Box
from pairsim.model.world_status import AreaStatusView, ProcessRow, ReplicaRow
from pairsim_controller.console.history import MAX_EVENTS, History


def area(active: str, term: int = 1, *, redundant: bool = True, passive: str = "") -> AreaStatusView:
    def replica(name: str, role: str) -> ReplicaRow:
        return ReplicaRow(
            replica=name, role=role, term=term, tick=10 * term, lag_ticks=0, entities=5, url="http://x", pid=1
        )

    return AreaStatusView(
        area="west",
        plane="physics",
        bounds=Box((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
        redundant=redundant,
        generation=1,
        replicas=[replica(name, role) for name, role in ((active, "active"), (passive, "passive")) if name],
        witness=ProcessRow("http://w", 2),
        missing="" if redundant else f"{active} is alone",
    )


def actives(history: History) -> list[tuple[str, str, str, int]]:
    """Returns kind, previous and new active, and term of the events about actives."""
    return [(e.kind, e.before, e.replica, e.term) for e in history.events if e.kind not in {"lost", "restored"}]


def test_an_event_says_how_an_active_became_so() -> None:
    history = History()
    for seen in (area("a"), area("a"), area("b", 2), area("b", 3)):
        history.observe([seen], 1.0)
    assert actives(history) == [("founded", "", "a", 1), ("takeover", "a", "b", 2), ("renewed", "b", "b", 3)]


def test_a_previous_active_that_is_now_passive_has_handed_over() -> None:
    history = History()
    for seen in (area("a", passive="b"), area("b", 2, passive="a"), area("c", 3, passive="a")):
        history.observe([seen], 1.0)
    assert [kind for kind, *_ in actives(history)] == ["founded", "switchover", "takeover"]


def test_a_missing_or_outdated_active_adds_no_event() -> None:
    history = History()
    for seen in (area("a", 3), area("", 3, passive="b"), area("b", 2), area("a", 3)):
        history.observe([seen], 1.0)
    assert actives(history) == [("founded", "", "a", 3)]


def redundancy(*looks: tuple[float, AreaStatusView]) -> list[tuple[str, float, str]]:
    """Returns the redundancy events after an area was seen at these times in these states."""
    history = History()
    for now, seen in looks:
        history.observe([seen], now)
    return [(e.kind, e.seconds, e.about) for e in history.events if e.kind in {"lost", "restored"}]


REDUNDANT, ALONE = area("a", passive="b"), area("a", redundant=False)


def test_a_loss_of_redundancy_has_a_reason_and_an_end() -> None:
    looks = ((0.0, ALONE), (5.0, ALONE), (6.0, REDUNDANT), (7.0, ALONE), (8.0, ALONE), (9.0, ALONE), (10.0, REDUNDANT))
    assert redundancy(*looks) == [("lost", 1.0, "a is alone"), ("restored", 3.0, "a (active) and b (passive)")]


def test_a_gap_of_less_than_a_second_adds_no_event() -> None:
    assert redundancy((0.0, REDUNDANT), (1.0, ALONE), (1.5, REDUNDANT), (2.0, ALONE), (2.9, REDUNDANT)) == []
    handed_over = area("b", 2, passive="a")
    assert redundancy((0.0, REDUNDANT), (1.0, ALONE), (1.1, handed_over)) == [], "the switchover is an event"


def test_another_member_adds_an_event() -> None:
    looks = ((0.0, REDUNDANT), (1.0, ALONE), (1.5, area("a", passive="c")), (3.0, area("c", 2, passive="d")))
    assert redundancy(*looks) == [
        ("restored", 0.5, "a (active) and c (passive)"),
        ("restored", 0.0, "c (active) and d (passive)"),
    ]


def test_the_end_of_a_process_is_an_event() -> None:
    history = History()
    history.add_ended("sim-3 was ended by signal 9 (Killed)", 7.0)
    assert [(e.number, e.at, e.kind, e.about) for e in history.events] == [
        (1, 7.0, "ended", "sim-3 was ended by signal 9 (Killed)")
    ]


def test_events_are_numbered_and_bounded() -> None:
    history = History()
    for term in range(1, MAX_EVENTS + 50):
        history.observe([area("a" if term % 2 else "b", term, redundant=False)], float(term))
    assert len(history.events) == MAX_EVENTS
    assert [event.number for event in history.events] == list(range(50, MAX_EVENTS + 50))
