"""The simulator of the areas of a plane: entities that travel, jump, get lost, and belong to each other.

A traveller moves by its velocity and turns at the walls of the world. Now and then one jumps to a far place, has a
position that is not a number for a while, or begins or ceases to belong to another entity. The command `calm` stops
all of that for the entities that are there. `value` is the sum of the commands `add`, and `birth` tells entities apart
that have the same id.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from pairsim.model.area import AreaSpec
from pairsim.model.command_schema import Operation
from pairsim.model.commands import Command
from pairsim.model.geometry import Box
from pairsim.model.simulation.simulator import Batch
from pairsim.model.state.schema import Component, Schema
from pairsim.model.state.table import Table
from tests import builders

WORLD = Box((0.0, 0.0, 0.0), (40.0, 40.0, 10.0))
TICK_RATE = 10.0
ENTITIES = 6
SPEED = 14.0
"""The standard deviation of speeds along an axis."""

_JUMP, _LOSE, _FIND, _JOIN, _LEAVE = 0.01, 0.004, 0.2, 0.01, 0.02
"""The chances of an entity in a tick."""


def plane_area(number: int, bounds: Box, seed: int) -> AreaSpec:
    """Returns the specification of an area; its first entity has the id 1000 * number."""
    return builders.area(
        f"area-{number}",
        bounds=bounds,
        world=WORLD,
        simulator="tests.simulation.plane.simulator:Travellers",
        seed=seed,
        tick_rate=TICK_RATE,
        entities=ENTITIES,
        parameters={"first": 1000 * number},
    )


def number_of(area: AreaSpec) -> int:
    """Returns the number of an area, which its first entity's id shows."""
    return int(area.parameters["first"]) // 1000


class Travellers:
    """Entities that leave their area again and again."""

    components = Schema(
        (
            Component("birth", "int64"),
            Component("position", "float32", 3),
            Component("velocity", "float32", 3),
            Component("parent", "int64"),
            Component("value", "int64"),
        )
    )
    operations = (Operation("add", (Component("amount", "int64"),)), Operation("calm", ()))

    def __init__(self, area: AreaSpec) -> None:
        self._area, self._first = area, int(area.parameters["first"])

    def prepare(self) -> None:
        """Does nothing: there is nothing to compile."""

    def populate(self, table: Table, rng: np.random.Generator) -> None:
        count, bounds = self._area.entities, self._area.bounds
        ids = self._first + np.arange(count, dtype=np.int64)
        parents = np.where(rng.random(count) < 0.3, self._first, 0)
        parents[:1] = 0
        columns = {
            "birth": ids,
            "position": rng.uniform(bounds.min, bounds.max, (count, 3)).astype(np.float32),
            "velocity": rng.normal(0.0, SPEED, (count, 3)).astype(np.float32),
            "parent": parents,
        }
        table.spawn(ids, columns)

    def step(self, table: Table, batch: Batch, tick: int, rng: np.random.Generator) -> None:
        for index, command in enumerate(batch.commands):
            if command.op == "calm":
                table.column("velocity")[:] = 0.0
            elif (row := table.row(command.entity)) is None:
                batch.reject(index, f"entity {command.entity} does not exist")
            else:
                table.column("value")[row] += int(command.components["amount"])  # type: ignore[arg-type]
        if len(table):
            self._move(table, rng)

    def _move(self, table: Table, rng: np.random.Generator) -> None:
        count = len(table)
        position, velocity, parent = table.column("position"), table.column("velocity"), table.column("parent")
        low, high = np.array(WORLD.min, np.float32), np.array(WORLD.max, np.float32)
        chance, other = rng.random((5, count)), rng.integers(0, count, count)
        place = rng.uniform(WORLD.min, WORLD.max, (count, 3)).astype(np.float32)
        moving = (velocity != 0.0).any(axis=1)
        lost = np.isnan(position).any(axis=1)
        position += velocity * np.float32(1.0 / TICK_RATE)
        velocity[((position < low) & (velocity < 0.0)) | ((position >= high) & (velocity > 0.0))] *= np.float32(-1.0)
        jumps = moving & ((chance[0] < _JUMP) | (lost & (chance[1] < _FIND)))
        position[jumps] = place[jumps]
        position[moving & (chance[2] < _LOSE), 0] = np.nan
        inside = np.clip(position, low, np.nextafter(high, low))  # a position that is not a number stays so
        position[:] = inside
        joins, leaves = moving & (chance[3] < _JOIN), moving & (chance[4] < _LEAVE)
        parent[joins] = table.ids[other[joins]]
        parent[leaves] = 0

    def perceive(self, table: Table, tick: int) -> Iterable[Command]:
        return ()
