"""What a tick takes in, and how it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from pairsim.model.borders import (
    DEFAULT_LIMITS,
    Acknowledgement,
    AreaMap,
    Arrival,
    BorderInputs,
    BorderLimits,
    Bundle,
    LinkMessage,
    acknowledgement,
)
from pairsim.model.borders.codec import apply_delta, decode_state, encode_delta, encode_message, encode_state
from tests.unit.model.borders.examples import SCHEMA, TestedArea, grant, inputs_from, row_of_cells


def pair(*, limits: BorderLimits = BorderLimits(held_ticks=5)) -> tuple[TestedArea, TestedArea]:  # noqa: B008
    return TestedArea(1, limits=limits), TestedArea(2, limits=limits)


def test_a_message_is_taken_once_and_dropped_when_this_is_acknowledged() -> None:
    area, other = pair()
    area.put(1, x=15.0)
    area.run()
    sent = inputs_from(area, other)
    assert other.run(sent) == [1]
    assert other.run(sent) == [1]
    area.run(inputs_from(other, area))
    assert area.waiting(2) == []
    assert (area.state.link(2).sent, area.state.link(2).acknowledged, area.state.link(2).rows) == (1, 1, 0)


def test_a_message_behind_a_missing_one_is_ignored() -> None:
    area, other = pair()
    for entity in (1, 2):
        area.put(entity, x=15.0)
        area.run()
    sent = inputs_from(area, other)
    assert other.run(sent._replace(arrivals=sent.arrivals[1:])) == []
    assert other.run(sent._replace(arrivals=sent.arrivals[::-1])) == [1]
    assert other.run(sent) == [1, 2]


def test_arrivals_are_reported_with_the_clocks_that_they_are_late() -> None:
    area, other = pair()
    area.put(1, 2, x=15.0)
    area.run()
    other.state.clock = 10
    taken = other.take(inputs_from(area, other))
    assert (taken.arrived.tolist(), taken.late.tolist()) == ([1, 2], [10, 10])
    assert other.table.ids[-2:].tolist() == [1, 2]


def test_only_the_groups_whose_ids_exist_are_refused_and_they_are_held_for_a_while() -> None:
    area, other = pair()
    area.put(1, 2, x=15.0)
    area.put(11, parent=1)
    other.put(11, x=12.0)
    area.run()
    taken = other.take(inputs_from(area, other))
    other.cross()
    assert (other.ids(), taken.refused.tolist(), other.state.counters.conflicts) == ([2, 11], [1, 11], 2)
    assert area.run(inputs_from(other, area)) == [1, 11]
    assert area.waiting(2) == []
    for _ in range(4):
        assert area.run() == [1, 11]
    assert area.run() == []


def test_an_id_that_waits_in_an_outbox_is_refused() -> None:
    area, other = pair()
    other.put(1, x=25.0)
    other.run()
    area.put(1, x=15.0)
    area.run()
    assert other.take(inputs_from(area, other)).refused.tolist() == [1]


def test_an_entity_that_comes_back_is_not_refused() -> None:
    area, other = pair()
    area.put(1, x=15.0)
    area.run()
    other.run(inputs_from(area, other))
    other.move(1, 5.0)
    other.run()
    assert area.take(inputs_from(other, area)).arrived.tolist() == [1]


def test_a_full_table_takes_neither_a_group_nor_what_stands_behind_it() -> None:
    area, other = pair()
    area.put(1, 2, 3, x=15.0)
    area.run()
    area.put(4, x=15.0)
    area.run()
    other.put(9, x=12.0)
    assert other.run(inputs_from(area, other, room=3)) == [9]
    assert other.run(inputs_from(area, other, room=4)) == [1, 2, 3, 9]


def test_what_returns_needs_no_room() -> None:
    area, other = pair()
    area.put(1, x=15.0)
    other.put(1, x=12.0)
    area.run()
    other.run(inputs_from(area, other))
    assert area.run(inputs_from(other, area, room=0)) == [1]


def test_an_area_that_returns_what_it_never_got_harms_nothing() -> None:
    area, _ = pair()
    area.put(1)
    columns = {c.name: np.zeros((1, c.width) if c.width > 1 else 1, c.dtype) for c in area.table.schema}
    body = Bundle(np.array([1]), columns, np.array([1]), version=1, returned=True)
    taken = area.take(BorderInputs(arrivals=(Arrival(2, 1, LinkMessage(body, 1, 0)),)))
    counters = area.state.counters
    assert (area.ids(), taken.refused.tolist()) == ([1], [1])
    assert counters.born - counters.died + counters.taken - counters.sent == len(area.table)


def test_the_newest_map_counts_and_an_entity_from_a_newer_one_stays_until_it_is_known() -> None:
    area, other = pair()
    area.run(BorderInputs(grants=(grant(row_of_cells(3, (0.0, 4.0, 20.0, 30.0))), grant(row_of_cells(2)))))
    assert area.state.version == 3
    area.put(1)
    area.run()
    other.run(inputs_from(area, other))
    assert other.run() == [1]
    other.run(BorderInputs(grants=(grant(row_of_cells(4)),)))
    assert other.waiting(1) == [[1]]


def test_an_area_learns_its_number_from_its_first_grant_and_keeps_it() -> None:
    area = TestedArea(0, cells=AreaMap())
    area.put(1, x=15.0)
    assert area.run() == [1]
    before = area.state.copy()
    assert area.run(BorderInputs(grants=(grant(row_of_cells(2)),))) == []
    assert area.state.number == 1
    assert apply_delta(before, encode_delta(before, area.state), SCHEMA).digest() == area.state.digest()
    assert decode_state(encode_state(before), SCHEMA, DEFAULT_LIMITS).digest() == before.digest()
    area.run(BorderInputs(grants=(grant(AreaMap(3, row_of_cells().cells[1:])),)))
    assert area.state.number == 1


@pytest.mark.parametrize(
    ("inputs", "clock"),
    [
        (BorderInputs(), 8),
        (BorderInputs(clocks=(20, 9)), 21),
        (BorderInputs(acknowledgements=((2, Acknowledgement(0, 0, 30)),)), 30),
        (BorderInputs(acknowledgements=((2, Acknowledgement(0, 0, 3)),)), 8),
    ],
)
def test_a_clock_passes_all_that_the_tick_takes_in(inputs: BorderInputs, clock: int) -> None:
    area, _ = pair()
    area.state.clock = 7
    area.take(inputs)
    assert area.state.clock == clock


def test_an_acknowledgement_waits_for_the_messages_that_were_sent_before_it() -> None:
    area, other = pair()
    area.put(1, x=15.0)
    other.put(1, x=12.0)
    area.run()
    other.run(inputs_from(area, other))
    back = inputs_from(other, area)
    area.run(back._replace(arrivals=()))
    assert (len(area.waiting(2)), len(area.state.link(2).waiting)) == (1, 1)
    area.run(back._replace(acknowledgements=()))
    assert (area.waiting(2), area.state.link(2).waiting) == ([], ())


def test_an_acknowledgement_of_what_was_never_sent_is_ignored() -> None:
    area, _ = pair()
    area.put(1, x=15.0)
    area.run()
    area.run(BorderInputs(acknowledgements=((2, Acknowledgement(2, 0, 1)),)))
    assert area.waiting(2) == [[1]]


def test_acknowledgements_that_wait_are_few() -> None:
    area, _ = pair(limits=BorderLimits(acknowledgements=3))
    for entity in range(1, 9):
        area.put(entity, x=15.0)
        area.run(BorderInputs(acknowledgements=((2, Acknowledgement(entity - 1, 10 * entity, 1)),)))
    assert [a.taken for a in area.state.link(2).waiting] == [1, 2, 3]


def test_a_copy_does_not_see_later_changes() -> None:
    area, other = pair()
    area.put(1, 2, x=15.0)
    area.run()
    other.run(inputs_from(area, other))
    before, digest = area.state.copy(), area.state.digest()
    area.put(3, x=15.0)
    area.run(inputs_from(other, area))
    assert (before.digest(), acknowledgement(before, 2).taken) == (digest, 0)
    assert area.state.digest() != digest


def test_a_message_keeps_its_bytes_for_the_next_time() -> None:
    area, _ = pair()
    area.put(1, x=15.0)
    area.run()
    message = area.state.link(2).outbox[1]
    assert encode_message(message) is encode_message(message)
