"""What arrives from other areas waits for a tick, in order and within bounds."""

from __future__ import annotations

from pairsim.model.borders import Acknowledgement
from pairsim.replication.links.arrivals import Admission, Arrivals
from tests.unit.replication.links.entries import message


class Cursors(dict[int, int]):
    """What the state has taken of each link."""

    def __call__(self, number: int) -> int:
        return self.get(number, 0)


def opened(cursors: Cursors, limit: int = 100) -> Arrivals:
    made = Arrivals(cursors, limit)
    made.begin()
    return made


def put(arrivals: Arrivals, number: int, *sequences: int, size: int = 1) -> list[Admission]:
    return [arrivals.put(number, sequence, message(sequence), size) for sequence in sequences]


def taken(arrivals: Arrivals, limit: int = 1_000) -> list[tuple[int, int]]:
    return [(arrival.area, arrival.sequence) for arrival in arrivals.take(limit)]


def test_entries_wait_until_the_state_has_taken_them() -> None:
    cursors = Cursors()
    arrivals = opened(cursors)
    put(arrivals, 7, 1, 2)
    assert [(a.area, a.sequence, a.message.clock) for a in arrivals.take()] == [(7, 1, 1), (7, 2, 2)]
    cursors[7] = 1
    assert taken(arrivals) == [(7, 2)]
    cursors[7] = 2
    assert taken(arrivals) == []
    put(arrivals, 7, 3)
    assert taken(arrivals) == [(7, 3)]


def test_only_the_next_entry_is_admitted() -> None:
    arrivals = opened(Cursors({7: 4}))
    assert put(arrivals, 7, 4, 5, 5) == [Admission.ADMITTED] * 3
    assert put(arrivals, 7, 7) == [Admission.REFUSED]
    assert taken(arrivals) == [(7, 5)]


def test_a_full_link_admits_nothing_until_a_tick_has_taken_something() -> None:
    cursors = Cursors()
    arrivals = opened(cursors, limit=25)
    assert put(arrivals, 7, 1, 2, 3, size=10) == [Admission.ADMITTED, Admission.ADMITTED, Admission.FULL]
    assert put(arrivals, 8, 1, size=10) == [Admission.ADMITTED]
    cursors[7] = 1
    arrivals.take()
    assert put(arrivals, 7, 3, size=10) == [Admission.ADMITTED]


def test_an_entry_larger_than_the_bound_waits_alone() -> None:
    arrivals = opened(Cursors(), limit=5)
    assert put(arrivals, 7, 1, 2, size=10) == [Admission.ADMITTED, Admission.FULL]


def test_nothing_waits_outside_of_a_leadership() -> None:
    arrivals = Arrivals(Cursors())
    assert put(arrivals, 7, 1) == [Admission.REFUSED]
    arrivals.begin()
    put(arrivals, 7, 1)
    arrivals.acknowledge(7, Acknowledgement(1, 0, 1))
    arrivals.end()
    arrivals.begin()
    assert taken(arrivals) == []
    assert arrivals.take_acknowledgements() == {}


def test_a_connection_of_an_earlier_leadership_cannot_go_on() -> None:
    arrivals = opened(Cursors())
    put(arrivals, 7, 1, 2)
    arrivals.end()
    arrivals.begin()
    assert put(arrivals, 7, 3) == [Admission.REFUSED]
    assert put(arrivals, 7, 1, 2, 3) == [Admission.ADMITTED] * 3


def test_a_record_holds_a_bounded_part_and_the_links_take_turns() -> None:
    arrivals = opened(Cursors(), limit=1_000)
    put(arrivals, 7, 1, 2, 3, size=10)
    put(arrivals, 8, 1, 2, 3, size=10)
    assert taken(arrivals, limit=20) == [(7, 1), (7, 2)]
    assert taken(arrivals, limit=20) == [(8, 1), (8, 2)]
    assert taken(arrivals, limit=5) == [(7, 1)]


def test_the_newest_acknowledgement_of_an_area_counts() -> None:
    arrivals = opened(Cursors())
    newer, older = Acknowledgement(2, 1, 20), Acknowledgement(1, 1, 10)
    for each in (older, newer, older):
        arrivals.acknowledge(8, each)
    arrivals.acknowledge(7, older)
    assert list(arrivals.take_acknowledgements().items()) == [(7, older), (8, newer)]
    assert arrivals.take_acknowledgements() == {}
