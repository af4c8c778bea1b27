"""The area of the simulation, and its simulator."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from pairsim.model.area import AreaSpec
from pairsim.model.command_schema import Operation
from pairsim.model.commands import Command
from pairsim.model.simulation.simulator import Batch
from pairsim.model.state.schema import Component, Schema
from pairsim.model.state.table import Table
from tests import builders

SPEC = builders.area("area", simulator="tests.simulation.area:Counters", seed=7, tick_rate=10.0, entities=8)


class Counters:
    """Entities with a value that commands add to, and with noise that drifts by the random stream."""

    components = Schema((Component("value", "int64"), Component("noise", "float32")))
    operations = (Operation("add", (Component("amount", "int64"),)),)

    def __init__(self, area: AreaSpec) -> None:
        self._count = area.entities

    def prepare(self) -> None:
        """Does nothing: there is nothing to compile."""

    def populate(self, table: Table, rng: np.random.Generator) -> None:
        table.spawn(np.arange(self._count, dtype=np.int64), {})

    def step(self, table: Table, batch: Batch, tick: int, rng: np.random.Generator) -> None:
        if len(table):
            table.column("noise")[:] += rng.random(len(table), dtype=np.float32)
        for index, command in enumerate(batch.commands):
            row = table.row(command.entity)
            if row is None:
                batch.reject(index, f"entity {command.entity} does not exist")
            else:
                table.column("value")[row] += int(command.components["amount"])  # type: ignore[arg-type]

    def perceive(self, table: Table, tick: int) -> Iterable[Command]:
        return ()
