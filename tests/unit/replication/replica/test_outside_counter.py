"""Entities that are outside of their area are counted, once a second, and reported."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pairsim.model.area import AreaSpec
from pairsim.model.commands import Command
from pairsim.model.geometry import Box
from pairsim.model.simulation.simulator import Batch
from pairsim.model.state.schema import Component, Schema
from pairsim.model.state.table import Table
from pairsim.replication.replica.outside_counter import COUNT_SECONDS, ROWS_PER_TURN, OutsideCounter, count_outside
from tests.unit.model.counting import area
from tests.unit.replication.process.processes import assignment, simulator_process
from tests.unit.replication.transport.peers import until

AREA, WORLD = Box((0, 0, 0), (10, 10, 10)), Box((-20, 0, 0), (20, 20, 10))
SCHEMA = Schema((Component("position", "float32", 3),))


def at(*positions: tuple[float, float, float], schema: Schema = SCHEMA) -> Table:
    table = Table(schema)
    table.spawn(np.arange(len(positions), dtype=np.int64), {"position": np.array(positions)} if positions else {})
    return table


@pytest.mark.parametrize(
    ("position", "outside"),
    [
        ((0, 0, 0), 0),
        ((9.999, 9.999, 9.999), 0),
        ((-0.001, 5, 5), 1),
        ((10, 5, 5), 1),
        ((5, 5, 10), 0),  # the world's own upper edge
        ((5, 5, 10.001), 1),
        ((5, -1, 12), 1),
        ((math.nan, 5, 5), 1),
        ((5, math.inf, 5), 1),
    ],
)
def test_an_entity_is_outside_if_it_is_so_on_one_axis(position: tuple[float, float, float], outside: int) -> None:
    assert count_outside(at(position), AREA, WORLD) == outside
    assert count_outside(at((1, 1, 1), position, position), AREA, WORLD) == 2 * outside


def test_an_entity_on_the_edge_of_the_world_is_inside_although_float32_rounds_the_edge() -> None:
    tenth = Box((0, 0, 0), (0.1, 0.1, 0.1))
    on_edge = at((np.float32(0.1), np.float32(0.1), np.float32(0.1)))
    assert float(on_edge.column("position")[0, 0]) > 0.1
    assert count_outside(on_edge, tenth, tenth) == 0


@pytest.mark.parametrize("component", [Component("count", "int64"), Component("position", "int64", 2)])
def test_entities_without_a_position_are_not_outside(component: Component) -> None:
    table = Table(Schema((component,)))
    table.spawn(np.arange(3, dtype=np.int64), {})
    assert count_outside(table, Box((1, 1, 1), (2, 2, 2)), WORLD) == 0


def test_the_count_is_made_once_a_second() -> None:
    counter = OutsideCounter(WORLD)
    counter.update(100.0, at((-1, 5, 5)), AREA)
    assert counter.count == 1
    counter.update(100.0 + 0.9 * COUNT_SECONDS, at(), AREA)
    assert counter.count == 1
    counter.update(100.0 + COUNT_SECONDS, at(), AREA)
    assert counter.count == 0


def test_a_large_table_is_counted_in_several_turns() -> None:
    rows = 2 * ROWS_PER_TURN + 5
    table = Table(SCHEMA)
    positions = np.ones((rows, 3), np.float32)
    positions[[0, ROWS_PER_TURN, rows - 1]] = -1
    table.spawn(np.arange(rows, dtype=np.int64), {"position": positions})
    counter = OutsideCounter(WORLD)
    for turn, count in enumerate((0, 0, 3, 3)):
        counter.update(100.0 + turn / 30, table, AREA)
        assert counter.count == count
    positions[:, 0] = -1
    table.column("position")[:] = positions
    for turn in range(3):
        counter.update(100.0 + COUNT_SECONDS + turn / 30, table, AREA)
    assert counter.count == rows


def test_a_table_that_is_replaced_by_a_smaller_one_ends_the_count() -> None:
    large, counter = Table(SCHEMA), OutsideCounter(WORLD)
    large.spawn(np.arange(2 * ROWS_PER_TURN, dtype=np.int64), {})
    counter.update(100.0, large, AREA)
    counter.update(100.1, at(), AREA)
    counter.update(100.2 + COUNT_SECONDS, at((-1, 5, 5)), AREA)
    assert counter.count == 1


class Strays:
    """Five entities, two of which are outside of the area."""

    components = SCHEMA
    operations = ()

    def __init__(self, area: AreaSpec) -> None: ...

    def prepare(self) -> None: ...

    def populate(self, table: Table, rng: np.random.Generator) -> None:
        positions = [(1, 1, 1), (2, 2, 2), (3, 3, 3), (11, 1, 1), (-1, 1, 1)]
        table.spawn(np.arange(5, dtype=np.int64), {"position": np.array(positions, np.float32)})

    def step(self, table: Table, batch: Batch, tick: int, rng: np.random.Generator) -> None: ...

    def perceive(self, table: Table, tick: int) -> Iterable[Command]:
        return ()


def test_the_status_holds_the_count(tmp_path: Path) -> None:
    strays = msgspec.structs.replace(area(), simulator=f"{__name__}:Strays", entities=5, bounds=AREA, world=WORLD)
    with simulator_process(tmp_path) as process:
        assert process.status().outside == 0
        process.assign(assignment(process, strays))
        until(lambda: process.status().outside == 2)
        assert process.status().entities == 5
