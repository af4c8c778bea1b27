"""A simulator of a third party: it lives outside of pairsim and is named as `tests.unit.model.counting:Counting`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import numpy as np
import numpy.typing as npt

from pairsim.model.area import AreaSpec
from pairsim.model.command_schema import Operation
from pairsim.model.commands import Command
from pairsim.model.geometry import Box
from pairsim.model.simulation.simulator import Batch, ParameterError
from pairsim.model.state.schema import Component, Schema
from pairsim.model.state.table import Table

BOX = Box((0, 0, 0), (10, 10, 10))


class Counting:
    """Counts ticks; `add` adds to an entity, `paint` sets two flags of it."""

    components = Schema(
        (Component("count", "int64"), Component("colour", "uint8", 2, 0, 9), Component("weight", "float32"))
    )
    operations = (
        Operation("add", (Component("amount", "int32"),)),
        Operation("paint", (Component("colour", "uint8", 2, 0, 9), Component("coats", "int32", 1, 1, 3))),
    )

    def __init__(self, area: AreaSpec) -> None:
        if area.parameters.keys() - {"pace"}:
            raise ParameterError("counting takes the parameter pace alone")
        self._entities, self._pace = area.entities, int(area.parameters.get("pace", 1))

    def prepare(self) -> None:
        """Nothing to compile."""

    def populate(self, table: Table, rng: np.random.Generator) -> None:
        table.spawn(
            np.arange(self._entities, dtype=np.int64), {"weight": rng.random(self._entities).astype(np.float32)}
        )

    def step(self, table: Table, batch: Batch, tick: int, rng: np.random.Generator) -> None:
        count = cast("npt.NDArray[np.int64]", table.column("count"))
        count += self._pace
        for op, argument, column in (("add", "amount", count), ("paint", "colour", table.column("colour"))):
            places, entities, arguments = batch.of(op)
            rows = table.rows(entities)
            for place in places[rows < 0]:
                batch.reject(place, "nobody there")
            if op == "add":
                np.add.at(column, rows[rows >= 0], arguments[argument][rows >= 0])
            else:
                column[rows[rows >= 0]] = arguments[argument][rows >= 0]

    def perceive(self, table: Table, tick: int) -> Iterable[Command]:
        return [Command(f"seen-{tick}", "add", 0, {"amount": 1})]


def area(entities: int = 4, **parameters: int) -> AreaSpec:
    return AreaSpec(
        area="a",
        plane="p",
        simulator="tests.unit.model.counting:Counting",
        parameters=dict(parameters),
        seed=1,
        bounds=BOX,
        world=BOX,
        entities=entities,
    )


def populated(entities: int = 4) -> tuple[Counting, Table, AreaSpec]:
    """A simulator and its table at tick 0."""
    spec = area(entities)
    simulator = Counting(spec)
    table = Table(simulator.components)
    simulator.populate(table, np.random.default_rng(0))
    return simulator, table, spec
