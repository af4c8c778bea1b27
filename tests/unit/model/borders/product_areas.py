"""The product's borders in the worlds of the model: areas that compute their ticks with the code that ships.

A `ProductArea` looks like an area of the model, and is a `BorderState` and a table. The world, its network and its
checks see the same things as in the model; between two areas the product's bytes travel. The positions of the model
are those along the first axis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from pairsim.model.authority import Authority, Cell
from pairsim.model.borders import (
    Acknowledgement,
    Answer,
    AnswerKind,
    AreaMap,
    Arrival,
    BorderInputs,
    BorderLimits,
    BorderState,
    Bundle,
    CommandAttempt,
    ForwardedAnswer,
    ForwardedCommand,
    LinkMessage,
    count_lives,
    cross,
    decide,
    settle,
    take,
)
from pairsim.model.borders.answers import command_key
from pairsim.model.borders.codec import decode_inputs, decode_message, encode_inputs, encode_message
from pairsim.model.borders.link import Link as ProductLink
from pairsim.model.commands import Command
from pairsim.model.geometry import Box
from pairsim.model.state.schema import Component, Schema
from pairsim.model.state.table import Table
from pairsim.model.state.table_memory import Column
from tests.simulation.models.borders import rules, state
from tests.simulation.models.borders.state import Area, Batch, Departure, Entity, Group, Inputs, Link, Order, Outcome

SCHEMAS = {
    width: Schema(
        (
            Component("position", "float64", width),
            Component("parent", "int64"),
            Component("birth_area", "int32"),
            Component("birth", "int64"),
        )
    )
    for width in (1, 2, 3)
}

LIMITS = BorderLimits(
    transfers=rules.MOST_TRANSFERS,
    waiting=rules.MOST_WAITING,
    messages=rules.MOST_MESSAGES,
    orders=rules.MOST_ORDERS,
    attempts=rules.MOST_ATTEMPTS,
    held_ticks=rules.HELD_TICKS,
    departed=rules.MOST_DEPARTED,
    acknowledgements=rules.MOST_ACKNOWLEDGEMENTS,
)

COMMANDS = {command_key(f"c{number}"): f"c{number}" for number in range(5_000)}
"""The ids of the worlds' commands by their hashes."""


class Carried(state.Message):
    """A message of the model with the product's bytes."""

    packed: bytes


@dataclass
class ProductArea(Area):
    """An area of the model that reads the product's state."""

    borders: BorderState = field(default_factory=lambda: BorderState(1))
    table: Table = field(default_factory=lambda: Table(SCHEMAS[1]))


def first_area(number: int, cells: dict[int, tuple[float, float]], axes: int) -> ProductArea:
    """Returns an empty area that knows a map of version 1."""
    borders = BorderState(number, limits=LIMITS)
    borders.map = AreaMap(1, cells_of(tuple(cells.items())))
    return shown(borders, Table(SCHEMAS[axes]), 0, ())


def cells_of(cells: tuple[tuple[int, tuple[float, float]], ...]) -> tuple[Cell, ...]:
    return tuple(
        Cell(number=number, area=f"area-{number}", bounds=Box((low, -1.0, -1.0), (high, 1.0, 1.0)))
        for number, (low, high) in cells
    )


def product_inputs(inputs: Inputs, schema: Schema) -> BorderInputs:
    """Returns the inputs of a tick as the product gets them, after a way through a record."""
    arrivals = []
    for area, sequence, message in inputs.arrivals:
        assert isinstance(message, Carried)
        arrivals.append(Arrival(area, sequence, decode_message(message.packed, schema)))
    taken_in = BorderInputs(
        inputs.clocks,
        tuple(Authority(area="here", version=g.version, cells=cells_of(g.map)) for g in inputs.grants),
        tuple((area, Acknowledgement(*a)) for area, a in inputs.acknowledgements),
        tuple(arrivals),
        rules.MOST_ROWS,
    )
    return decode_inputs(encode_inputs(taken_in), schema)


def advance(before: ProductArea, inputs: Inputs) -> ProductArea:
    """Returns the state after the next tick, computed by the product."""
    borders, table, tick = before.borders.copy(), before.table.copy(), before.tick + 1
    taken = take(borders, table, product_inputs(inputs, table.schema), tick)
    applied = [order.command.id for order in taken.orders]
    attempts = [CommandAttempt(Command(s.id, "spawn", s.entity.id)) for s in inputs.spawns]
    attempts += [CommandAttempt(Command(c.id, "set", c.entity), c.attempt, c.follows) for c in inputs.commands]
    decided = decide(borders, table, attempts, 0)
    ids = table.ids.copy()
    for spawn, decision in zip(inputs.spawns, decided, strict=False):
        if decision.runs:
            _spawn(table, spawn.entity)
    runs = zip(attempts[len(inputs.spawns) :], decided[len(inputs.spawns) :], strict=True)
    run = [attempt.command for attempt, decision in runs if decision.runs]
    applied += [command.id for command in run if table.row(command.entity) is not None]
    missing = {command.id: "it is missing" for command in run if table.row(command.entity) is None}
    _step(table, inputs)
    settle(borders, taken.orders, missing)
    lives = count_lives(borders, table, ids)
    assert not len(lives.refused)
    cross(borders, table, tick)
    return shown(borders, table, tick, before.applied + tuple(applied))


def _spawn(table: Table, entity: Entity) -> None:
    position = np.zeros((1, table.schema["position"].width))
    position[0, 0] = entity.x
    columns = {
        "position": position if position.shape[1] > 1 else position[:, 0],
        "parent": np.array([entity.parent]),
        "birth_area": np.array([entity.birth[0]]),
        "birth": np.array([entity.birth[1]]),
    }
    table.spawn(np.array([entity.id]), columns)


def _step(table: Table, inputs: Inputs) -> None:
    gone = [entity for entity in inputs.despawns if entity in table]
    table.despawn(np.array(gone, np.int64))
    first_axis = _first_axis(table.column("position"))
    for entity, distance in inputs.moves:
        row = table.row(entity)
        if row is not None:
            first_axis[row] = min(max(first_axis[row] + distance, -5.0), 104.0)


def _first_axis(position: Column) -> Column:
    return position if position.ndim == 1 else position[:, 0]


def shown(borders: BorderState, table: Table, tick: int, applied: tuple[str, ...]) -> ProductArea:
    """Returns the product's state as an area of the model."""
    ahead = dict(zip(borders.ahead.ids.tolist(), borders.ahead.numbers.tolist(), strict=True))
    held = dict(zip(borders.held.ids.tolist(), borders.held.numbers.tolist(), strict=True))
    rows = {
        row.id: row._replace(version=ahead.get(row.id, 0), held_until=held.get(row.id, 0))
        for row in _entities(table.ids, table.columns(), 0)
    }
    assert borders.counters.nowhere == sum(not owned(borders, row.x) for row in rows.values())
    return ProductArea(
        borders.number,
        borders.version,
        {cell.number: (cell.bounds.min[0], cell.bounds.max[0]) for cell in borders.map.cells},
        borders.clock,
        tick,
        rows,
        {area: _link(link) for area, link in borders.links.items()},
        {COMMANDS[key]: _answer(given.answer) for key, given in borders.answers.since(0)},
        tuple(borders.queue.tolist()),
        tuple(
            Departure(gone.clock, entity, area)
            for gone in borders.departures.ticks
            for entity, area in zip(gone.ids.tolist(), gone.areas.tolist(), strict=True)
        ),
        applied,
        borders.counters.born,
        borders.counters.died,
        borders.counters.sent,
        borders.counters.taken,
        borders.counters.conflicts,
        borders=borders,
        table=table,
    )


def owned(borders: BorderState, x: float) -> bool:
    return any(cell.bounds.min[0] <= x < cell.bounds.max[0] for cell in borders.map.cells)


def _link(link: ProductLink) -> Link:
    assert link.rows == sum(message.rows for message in link.outbox.values())
    newest = {e: at for at, m in link.outbox.items() if isinstance(m.body, Bundle) for e in m.body.ids.tolist()}
    assert dict(zip(link.entities.ids.tolist(), link.entities.numbers.tolist(), strict=True)) == newest
    assert link.bundles == sum(isinstance(message.body, Bundle) for message in link.outbox.values())
    assert list(link.outbox) == list(range(link.acknowledged + 1, link.sent + 1))
    waiting = tuple(state.Acknowledgement(a.taken, a.sent, a.clock) for a in link.waiting)
    return Link({at: carried(message) for at, message in link.outbox.items()}, link.sent, link.taken, waiting)


def carried(message: LinkMessage) -> Carried:
    """Returns a message of the product as one of the model."""
    match message.body:
        case Bundle():
            body: Batch | Order | Outcome = _batch(message.body)
        case ForwardedCommand(command, attempt, origin):
            body = Order(command.id, attempt, command.entity, origin)
        case ForwardedAnswer(key, answer):
            body = Outcome(COMMANDS[key], _answer(answer))
    found = Carried(body, message.clock, message.taken)
    found.packed = encode_message(message)
    return found


def _batch(bundle: Bundle) -> Batch:
    rows = _entities(bundle.ids, bundle.columns, bundle.version)
    memory = {COMMANDS[key]: _answer(answer) for key, answer in bundle.memory}
    ends = np.cumsum(bundle.sizes).tolist()
    groups = []
    for first, last in zip([0, *ends], ends, strict=False):
        ids = {row.id for row in rows[first:last]}
        groups.append(Group(tuple(rows[first:last]), tuple((c, a) for c, a in memory.items() if a.entity in ids)))
    return Batch(tuple(groups), bundle.returned)


def _entities(ids: np.ndarray, columns: Mapping[str, Column], version: int) -> list[Entity]:
    values = zip(
        ids.tolist(),
        columns["birth_area"].tolist(),
        columns["birth"].tolist(),
        _first_axis(columns["position"]).tolist(),
        columns["parent"].tolist(),
        strict=True,
    )
    return [Entity(entity, (area, birth), x, parent, version) for entity, area, birth, x, parent in values]


def _answer(answer: Answer) -> state.Answer:
    return state.Answer(AnswerKind(answer.kind).name.lower(), answer.attempt, answer.entity, answer.area)
