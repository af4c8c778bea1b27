"""What crosses at the end of a tick, what stays, and what is counted."""

from __future__ import annotations

import numpy as np
import pytest

from pairsim.model.borders import Answer, AnswerKind, AreaMap, BorderInputs, BorderLimits, Bundle, count_lives
from pairsim.model.borders.answers import KEY_BYTES, command_key
from pairsim.model.borders.codec.messages import encode_message
from pairsim.model.state.memory_need import row_bytes
from pairsim.model.state.schema import Component, Schema
from tests.unit.model.borders.examples import FLAT, SCHEMA, TestedArea, cell, command, grant, inputs_from, row_of_cells


def test_an_entity_crosses_to_the_area_that_owns_its_position_however_far() -> None:
    area = TestedArea(1)
    area.put(1, 2, 3)
    area.move(2, 10.0)
    area.move(3, 25.0)
    area.tick += 1
    crossings = area.cross()
    assert dict(zip(crossings.ids.tolist(), crossings.areas.tolist(), strict=True)) == {2: 2, 3: 3}
    assert area.ids() == [1]
    assert (area.waiting(2), area.waiting(3)) == ([[2]], [[3]])


def test_an_entity_keeps_its_components_on_the_way() -> None:
    area, other = TestedArea(1), TestedArea(2)
    area.put(7, 8, x=12.5)
    area.table.column("health")[:] = [-3, 4]
    area.run()
    other.run(inputs_from(area, other))
    rows = other.table.rows(np.array([7, 8]))
    assert other.table.column("health")[rows].tolist() == [-3, 4]
    assert other.table.column("position")[rows].tolist() == [[12.5, 1.0, 1.0]] * 2


@pytest.mark.parametrize("x", [-0.1, 30.0, np.nan, np.inf, -np.inf])
def test_an_entity_that_is_nowhere_stays_and_is_counted(x: float) -> None:
    area = TestedArea(1)
    area.put(1, 2)
    area.move(1, x)
    area.run()
    assert (area.ids(), area.state.counters.nowhere) == ([1, 2], 1)
    area.move(1, 5.0)
    area.run()
    assert area.state.counters.nowhere == 0


def test_a_table_without_positions_and_an_area_without_a_map_send_nothing() -> None:
    area = TestedArea(1, schema=Schema((Component("mass", "float32"),)))
    area.table.spawn(np.array([1]), {})
    area.run()
    unknown = TestedArea(1, cells=AreaMap())
    unknown.put(1, x=500.0)
    unknown.run()
    assert (area.ids(), unknown.ids()) == ([1], [1])


def test_an_area_that_lost_its_cell_sends_everything() -> None:
    area = TestedArea(1)
    area.put(*range(1, 30))
    area.run(BorderInputs(grants=(grant(AreaMap(2, (cell(2, 0.0, 30.0),))),)))
    assert area.ids() == []


def test_those_that_wait_longest_cross_first() -> None:
    area = TestedArea(1, limits=BorderLimits(transfers=2), schema=FLAT)
    area.put(30, 31, 32, 33, 34, x=15.0)
    area.run()
    assert (area.waiting(2), area.state.queue.tolist()) == ([[30, 31]], [32, 33, 34])
    area.put(1, 2, x=15.0)
    area.move(33, 5.0)
    area.run()
    assert (area.waiting(2)[1:], area.state.queue.tolist()) == ([[32, 34]], [1, 2])
    area.move(33, 15.0)
    area.run()
    assert area.waiting(2)[2:] == [[1, 2]]


def test_a_full_outbox_leaves_entities_where_they_are_and_others_cross() -> None:
    area = TestedArea(1, limits=BorderLimits(waiting=3), schema=FLAT)
    area.put(1, 2, 3, 4, 5, x=15.0)
    area.put(6, x=25.0)
    area.run()
    area.run()
    assert (area.waiting(2), area.waiting(3), area.ids()) == ([[1, 2, 3]], [[6]], [4, 5])


def test_few_messages_wait_for_an_area_that_does_not_answer() -> None:
    area = TestedArea(1, limits=BorderLimits(messages=2))
    for entity in (1, 2, 3, 4):
        area.put(entity, x=15.0)
        area.run()
    assert (area.waiting(2), area.ids(), area.state.queue.tolist()) == ([[1], [2]], [3, 4], [3, 4])


def test_a_small_group_passes_a_large_one_that_has_no_room() -> None:
    area = TestedArea(1, limits=BorderLimits(waiting=4))
    area.put(1, 9, x=15.0)
    area.run()
    area.put(2, 3, x=15.0)
    area.put(21, 22, parent=2)
    area.run()
    assert area.waiting(2) == [[1, 9], [3]]


def test_a_group_crosses_whole_or_not_at_all() -> None:
    area, other = TestedArea(1, limits=BorderLimits(transfers=2)), TestedArea(2)
    area.put(1, x=15.0)
    area.put(3, 2, parent=1)
    area.put(4, parent=3)
    area.put(5, x=15.0, parent=99)
    area.put(6)
    area.put(7, x=15.0, parent=6)
    assert area.run() == [5, 6, 7]
    assert area.waiting(2) == [[1, 2, 3, 4]]
    assert area.run() == [6, 7]
    assert other.run(inputs_from(area, other)) == [1, 2, 3, 4, 5]


def test_one_that_has_to_stay_keeps_its_group() -> None:
    area, other = TestedArea(1), TestedArea(2)
    other.put(3)
    area.put(1, x=15.0)
    area.put(2, 3, parent=1)
    area.run()
    other.run(inputs_from(area, other))
    assert area.run(inputs_from(other, area)) == [1, 2, 3]
    area.state.held = area.state.held.without(np.array([1, 2]))
    assert area.run() == [1, 2, 3]
    area.tick += area.state.limits.held_ticks
    assert area.run() == []


def test_births_and_deaths_are_counted_whatever_made_them() -> None:
    area = TestedArea(1)
    area.put(*range(1, 10))
    ids = area.table.ids.copy()
    area.table.despawn(np.array([2, 9]))
    area.table.spawn(np.array([50, 40]), {})
    lives = count_lives(area.state, area.table, ids)
    assert (lives.born.tolist(), lives.died.tolist()) == ([40, 50], [2, 9])
    assert (area.state.counters.born, area.state.counters.died) == (11, 2)
    assert area.state.departures.ticks[0].ids.tolist() == [2, 9]


def test_a_new_entity_with_an_id_that_is_on_its_way_is_removed_again() -> None:
    area = TestedArea(1)
    area.put(1, x=15.0)
    area.run()
    ids = area.table.ids.copy()
    area.table.spawn(np.array([1, 2]), {})
    lives = count_lives(area.state, area.table, ids)
    assert (lives.born.tolist(), lives.refused.tolist(), area.ids()) == ([2], [1], [2])
    assert (area.state.counters.born, area.state.counters.conflicts) == (2, 1)


def test_a_dead_entity_is_forgotten() -> None:
    area, other = TestedArea(1, cells=row_of_cells(7)), TestedArea(2)
    area.put(1, x=15.0)
    area.run()
    other.run(inputs_from(area, other))
    assert other.state.ahead.ids.tolist() == [1]
    ids = other.table.ids.copy()
    other.table.despawn(np.array([1]))
    count_lives(other.state, other.table, ids)
    assert other.state.ahead.ids.tolist() == []


def test_departures_say_where_an_entity_went() -> None:
    area = TestedArea(1)
    area.put(1, x=15.0)
    area.put(2, x=25.0)
    area.run(BorderInputs(), command(1))
    (tick,) = area.state.departures.ticks
    assert (tick.clock, tick.ids.tolist(), tick.areas.tolist()) == (area.state.clock, [1, 2], [2, 3])


def test_no_more_bytes_cross_in_a_tick_than_a_record_holds() -> None:
    area = TestedArea(1, limits=BorderLimits(bytes=100))
    area.put(*range(1, 11), x=15.0)
    area.run()
    (crossed,) = area.waiting(2)
    assert len(crossed) * row_bytes(area.table.schema) <= 100 < (len(crossed) + 1) * row_bytes(area.table.schema)


def test_a_group_that_no_record_holds_stays_and_the_others_cross() -> None:
    area = TestedArea(1, limits=BorderLimits(bytes=4 * row_bytes(SCHEMA)), schema=SCHEMA)
    area.put(1, 2, x=15.0)
    area.put(3, 4, 5, 6, x=15.0, parent=2)
    for _tick in range(3):
        area.run()
    assert area.ids() == [2, 3, 4, 5, 6]
    assert area.state.queue.tolist() == [2]


def test_a_group_takes_the_newest_answers_along_that_fit() -> None:
    area = TestedArea(1, limits=BorderLimits(memory=100_000))
    area.put(1, x=15.0)
    for number in range(5_000):
        area.state.answers.put(command_key(f"c{number}"), Answer(AnswerKind.REJECTED, 1, 1, 0, "\u20ac" * 256))
    area.run()
    ((_, message),) = area.state.link(2).outbox.items()
    assert isinstance(message.body, Bundle)
    memory = message.body.memory
    assert len(encode_message(message)) < 100_000
    assert memory.keys[-KEY_BYTES:] == command_key("c4999")
    assert [key for key, _ in memory] == [command_key(f"c{5_000 - len(memory) + at}") for at in range(len(memory))]
    assert len(memory) > 80
