"""A simulator of balloons that the wind carries along; a balloon that leaves the world comes back at the other side."""

from __future__ import annotations

import numpy as np

from pairsim.simulator import AreaSpec, Batch, Component, ParameterError, Schema, Table, first_entity


class Drift:
    components = Schema((Component("position", "float32", 3),))
    operations = ()

    def __init__(self, area: AreaSpec) -> None:
        wind = area.parameters.get("wind", 1)
        if area.parameters.keys() - {"wind"} or isinstance(wind, bool | str) or not 0 <= wind <= 100:
            raise ParameterError(f"drift takes one parameter, wind, from 0 to 100 m/s: not {area.parameters}")
        self._area, self._way = area, np.float32(wind / area.tick_rate)
        self._low, self._high = np.float32(area.world.min[0]), np.float32(area.world.max[0])

    def prepare(self) -> None:
        """Has nothing to compile."""

    def populate(self, table: Table, rng: np.random.Generator) -> None:
        low, high = (np.array(corner, np.float32) for corner in (self._area.bounds.min, self._area.bounds.max))
        place = low + rng.random((self._area.entities, 3), np.float32) * np.float32(0.99) * (high - low)
        ids = first_entity(self._area) + np.arange(self._area.entities, dtype=np.int64)  # unique in the world
        table.spawn(ids, {"position": place})

    def step(self, table: Table, batch: Batch, tick: int, rng: np.random.Generator) -> None:
        east = table.column("position")[:, 0]
        east += self._way
        east[east >= self._high] = self._low
