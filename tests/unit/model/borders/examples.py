"""Areas, tables and messages to test borders with."""

from __future__ import annotations

import numpy as np

from pairsim.model.authority import Authority, Cell
from pairsim.model.borders import (
    DEFAULT_LIMITS,
    Acknowledgement,
    AreaMap,
    Arrival,
    BorderInputs,
    BorderLimits,
    BorderState,
    CommandAttempt,
    Crossings,
    Taken,
    acknowledgement,
    count_lives,
    cross,
    decide,
    settle,
    take,
)
from pairsim.model.borders.codec import decode_message, encode_message
from pairsim.model.commands import Command
from pairsim.model.geometry import Box
from pairsim.model.state.schema import Component, Schema
from pairsim.model.state.table import Table

SCHEMA = Schema((Component("position", "float32", 3), Component("parent", "int64"), Component("health", "int16")))
FLAT = Schema((Component("position", "float32", 3), Component("mass", "float32")))


def cell(number: int, low: float, high: float) -> Cell:
    return Cell(number=number, area=f"area-{number}", bounds=Box((low, 0.0, 0.0), (high, 10.0, 10.0)))


def row_of_cells(version: int = 1, edges: tuple[float, ...] = (0.0, 10.0, 20.0, 30.0)) -> AreaMap:
    """Returns cells in a row along x, of areas from 1 on."""
    return AreaMap(version, tuple(cell(n, *edges[n - 1 : n + 1]) for n in range(1, len(edges))))


def grant(cells: AreaMap) -> Authority:
    return Authority(area="area-1", version=cells.version, cells=cells.cells)


class TestedArea:
    """An area with a table, whose step is what a test does to the table."""

    __test__ = False

    def __init__(
        self,
        number: int,
        *,
        cells: AreaMap | None = None,
        limits: BorderLimits = DEFAULT_LIMITS,
        schema: Schema = SCHEMA,
    ) -> None:
        self.state, self.table, self.tick = BorderState(number, limits=limits), Table(schema), 0
        self.state.map = row_of_cells() if cells is None else cells

    def put(self, *ids: int, x: float = 5.0, parent: int = 0) -> None:
        """Adds entities before the first tick."""
        columns = {"position": np.tile(np.array([x, 1.0, 1.0], np.float32), (len(ids), 1))}
        if "parent" in self.table.schema:
            columns["parent"] = np.full(len(ids), parent)
        self.table.spawn(np.array(ids), columns)
        self.state.counters.born += len(ids)

    def move(self, entity: int, x: float) -> None:
        row = self.table.row(entity)
        assert row is not None
        self.table.column("position")[row, 0] = x

    def take(self, inputs: BorderInputs = BorderInputs()) -> Taken:  # noqa: B008  # it does not change
        """Begins a tick."""
        self.tick += 1
        return take(self.state, self.table, inputs, self.tick)

    def cross(self) -> Crossings:
        """Ends a tick."""
        return cross(self.state, self.table, self.tick)

    def run(self, inputs: BorderInputs = BorderInputs(), *attempts: CommandAttempt) -> list[int]:  # noqa: B008
        """Computes a tick with commands, none of which changes anything; returns the ids that are in the table then."""
        taken = self.take(inputs)
        ids = self.table.ids.copy()
        decide(self.state, self.table, attempts, self.tick)
        settle(self.state, taken.orders, {})
        count_lives(self.state, self.table, ids)
        self.cross()
        return self.ids()

    def ids(self) -> list[int]:
        return sorted(self.table.ids.tolist())

    def waiting(self, area: int) -> list[list[int]]:
        """Returns the entities of each message in an outbox."""
        return [list(getattr(m.body, "ids", ())) for m in self.state.link(area).outbox.values()]


def inputs_from(sender: TestedArea, receiver: TestedArea, *, room: int = 2**62) -> BorderInputs:
    """Returns all that the receiver gets from the sender, as bytes that it reads."""
    outbox = sender.state.link(receiver.state.number).outbox
    arrivals = tuple(
        Arrival(sender.state.number, at, decode_message(encode_message(message), receiver.table.schema))
        for at, message in outbox.items()
    )
    acknowledgements: tuple[tuple[int, Acknowledgement], ...] = (
        (sender.state.number, acknowledgement(sender.state, receiver.state.number)),
    )
    return BorderInputs(acknowledgements=acknowledgements, arrivals=arrivals, room=room)


def command(
    entity: int, name: str = "c1", op: str = "set", *, attempt: int = 1, follows: bool = True
) -> CommandAttempt:
    return CommandAttempt(Command(name, op, entity), attempt, follows)
