"""What an active measures of its borders."""

from __future__ import annotations

import numpy as np
import pytest

from pairsim.model.authority import Cell
from pairsim.model.borders import AreaMap, BorderState, Bundle
from pairsim.model.borders.messages import Acknowledgement
from pairsim.model.crossings.border_status import MAX_NEIGHBOURS, BorderStatus, Mark
from pairsim.model.geometry import Box
from pairsim.replication import clock
from pairsim.replication.links.board import Posted
from pairsim.replication.links.exchange import posted_links
from pairsim.replication.links.meter import BorderMeter
from pairsim.replication.measurements import HANDOVER_SECONDS, Histogram


class Metered:
    """The committed states of an area, their meter, and a clock that stands still."""

    def __init__(self) -> None:
        self.now, self.taken = 100.0, dict[int, int]()
        self.handovers = Histogram(HANDOVER_SECONDS)
        self.meter = BorderMeter(20.0, self.handovers, lambda: dict(self.taken))
        self.state, self.posted, self.tick = BorderState(1, born=9), Posted(), 0
        self.state.map = AreaMap(3, tuple(cell(number) for number in (1, 2)))

    def commit(self, *, clocks: int = 1, entities: int = 9) -> None:
        """Computes and commits a tick."""
        self.state, self.tick = self.state.copy(), self.tick + 1
        self.state.clock += clocks
        self.meter.on_computed(self.tick, entities, self.state)
        before, self.posted = self.posted, posted_links(self.state, 1, self.posted)
        self.meter.on_posted(self.state, before, self.posted)

    def send(self, number: int, *ids: int) -> None:
        self.state = self.state.copy()
        columns = {"position": np.zeros((len(ids), 3), np.float32)}
        array = np.array(ids, np.int64)
        self.state.send(number, Bundle(array, columns, np.ones(len(ids), np.int64), version=3))
        self.state.counters.sent += len(ids)

    def acknowledge(self, number: int, taken: int) -> None:
        self.state = self.state.copy()
        self.state.link(number).note(Acknowledgement(taken, 0, 0), 9)
        self.state.link(number).settle()

    def report(self, *connected: int) -> BorderStatus:
        found = self.meter.report(self.tick, connected)
        assert found is not None
        return found


def cell(number: int) -> Cell:
    return Cell(number=number, area=f"area-{number}", bounds=Box((number, 0, 0), (number + 1, 1, 1)))


@pytest.fixture
def metered(monkeypatch: pytest.MonkeyPatch) -> Metered:
    made = Metered()
    monkeypatch.setattr(clock, "_source", lambda: made.now)
    return made


def test_outside_of_a_leadership_there_is_no_report(metered: Metered) -> None:
    assert metered.meter.report(0, ()) is None
    metered.commit()
    assert metered.report().born == 9
    metered.meter.end()
    assert metered.meter.report(1, ()) is None


def test_a_neighbour_has_a_link_before_anything_crosses(metered: Metered) -> None:
    metered.commit()
    (neighbour,) = metered.report().neighbours
    assert (neighbour.number, neighbour.area, neighbour.connected, neighbour.waiting) == (2, "area-2", False, 0)
    assert metered.report(2).neighbours[0].connected


def test_what_waits_in_an_outbox_has_an_age_until_it_is_acknowledged(metered: Metered) -> None:
    metered.commit()
    metered.send(2, 5, 6)
    metered.commit()
    metered.now += 0.25
    metered.send(2, 7)
    metered.commit()
    metered.now += 2.0
    (neighbour,) = metered.report().neighbours
    assert (neighbour.waiting, neighbour.waiting_seconds, neighbour.sent) == (3, 2.2, 3)
    metered.acknowledge(2, 1)
    metered.commit()
    (neighbour,) = metered.report().neighbours
    assert (neighbour.waiting, neighbour.waiting_seconds) == (1, 2.0)
    assert metered.handovers.counts[HANDOVER_SECONDS.index(5.0)] == 2
    assert metered.handovers.seconds == pytest.approx(4.5)
    metered.acknowledge(2, 2)
    metered.commit()
    assert metered.report().neighbours[0].waiting_seconds == 0.0
    assert sum(metered.handovers.counts) == 3


def test_what_an_earlier_active_sent_waits_and_is_not_counted_again(metered: Metered) -> None:
    metered.send(2, 5, 6)
    metered.commit()
    metered.now += 1.0
    (neighbour,) = metered.report().neighbours
    assert (neighbour.waiting, neighbour.waiting_seconds, neighbour.sent) == (2, 1.0, 0)


def test_rates_are_those_of_the_last_seconds(metered: Metered) -> None:
    metered.commit()
    for second in range(10):
        metered.now += 1.0
        metered.send(2, *range(100 * second, 100 * second + 10))
        metered.taken[2] = 5 * (second + 1)
        metered.state.counters.taken += 5
        metered.commit()
    report = metered.report()
    assert (report.out_per_second, report.in_per_second) == (10.0, 5.0)
    assert (report.neighbours[0].out_per_second, report.neighbours[0].in_per_second) == (10.0, 5.0)
    for _second in range(5):
        metered.now += 1.0
        metered.commit()
    assert (metered.report().out_per_second, metered.report().in_per_second) == (0.0, 0.0)


def test_the_state_at_a_mark_is_the_one_after_the_last_tick_up_to_it(metered: Metered) -> None:
    metered.commit(clocks=31, entities=4)
    metered.commit(clocks=1, entities=5)
    assert metered.report().marks == ()
    metered.commit(clocks=1, entities=6)
    assert metered.report().marks == (Mark(32, 9, 0, 5, 0),)
    metered.commit(clocks=100, entities=7)
    assert metered.report().marks == (Mark(32, 9, 0, 5, 0), Mark(128, 9, 0, 6, 0))


def test_a_mark_waits_for_the_commit_of_its_tick(metered: Metered) -> None:
    metered.commit(clocks=32)
    metered.commit()
    assert metered.meter.report(0, ()).marks == ()  # type: ignore[union-attr]
    assert len(metered.report().marks) == 1


def test_the_clock_of_the_last_exchange_is_reported(metered: Metered) -> None:
    metered.commit()
    metered.send(2, 5)
    metered.commit()
    metered.commit()
    assert (metered.report().exchanged, metered.report().clock) == (2, 3)
    metered.acknowledge(2, 1)
    metered.commit()
    assert metered.report().exchanged == 4


def test_a_report_is_bounded_and_shows_the_links_first_in_which_something_waits(metered: Metered) -> None:
    for number in range(3, 103):
        metered.send(number, number)
    metered.send(102, 7, 8)
    metered.commit()
    report = metered.report()
    assert len(report.neighbours) == MAX_NEIGHBOURS
    assert (report.neighbours[0].number, report.neighbours[0].area, report.waiting) == (102, "", 102)
