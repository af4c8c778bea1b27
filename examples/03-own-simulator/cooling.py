"""A simulator of cups that cool down to the temperature of the room; `heat` warms one of them."""

from __future__ import annotations

import numpy as np

from pairsim.simulator import AreaSpec, Batch, Component, Operation, ParameterError, Schema, Table


class Cooling:
    components = Schema((Component("position", "float32", 3), Component("celsius", "float32", low=-50, high=100)))
    operations = (Operation("heat", (Component("degrees", "float32", low=0, high=100),)),)

    def __init__(self, area: AreaSpec) -> None:
        room = area.parameters.get("room", 20)
        if area.parameters.keys() - {"room"} or isinstance(room, bool | str) or not -50 <= room <= 100:
            raise ParameterError(f"cooling takes one parameter, room, from -50 to 100: not {area.parameters}")
        self._area, self._room, self._share = area, np.float32(room), np.float32(0.1 / area.tick_rate)

    def prepare(self) -> None:
        """Has nothing to compile."""

    def populate(self, table: Table, rng: np.random.Generator) -> None:
        count, low, high = self._area.entities, self._area.bounds.min, self._area.bounds.max
        place = np.array(low, np.float32) + rng.random((count, 3), np.float32) * np.float32(0.99) * (
            np.array(high, np.float32) - np.array(low, np.float32)
        )
        celsius = np.full(count, 90, np.float32)
        ids = np.arange(1, count + 1, dtype=np.int64)  # unique, since this world has one area
        table.spawn(ids, {"position": place, "celsius": celsius})

    def step(self, table: Table, batch: Batch, tick: int, rng: np.random.Generator) -> None:
        celsius = table.column("celsius")
        celsius += (self._room - celsius) * self._share
        places, entities, arguments = batch.of("heat")
        rows = table.rows(entities)
        for place in places[rows < 0]:
            batch.reject(place, "this cup does not exist")
        np.add.at(celsius, rows[rows >= 0], arguments["degrees"][rows >= 0])
        celsius[celsius > 100] = 100
