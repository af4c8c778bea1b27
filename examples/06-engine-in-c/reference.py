"""The simulator of `bouncing.c` in numpy: points that fly straight on and bounce off the walls of their area."""

from __future__ import annotations

import numpy as np

from pairsim.simulator import AreaSpec, Batch, Component, Operation, ParameterError, Schema, Table

STEPS = np.array([0.8191725133961645, 0.6710436067037893, 0.5497004779019703])
"""Multiples of these are spread evenly in a cube, if their whole parts are taken away."""


class Bouncing:
    components = Schema((Component("position", "float32", 3), Component("velocity", "float32", 3)))
    operations: tuple[Operation, ...] = ()

    def __init__(self, area: AreaSpec) -> None:
        speed = area.parameters.get("speed", 4)
        if area.parameters.keys() - {"speed"} or isinstance(speed, bool | str) or not 0 <= speed <= 1000:
            raise ParameterError("bouncing takes one parameter, speed, from 0 to 1000")
        self._speed, self._entities, self._seconds = speed, area.entities, np.float32(1 / area.tick_rate)
        self._low, self._high = np.array(area.bounds.min), np.array(area.bounds.max)
        self._first = self._low.astype(np.float32)
        self._last = np.nextafter(self._high.astype(np.float32), self._first)  # the edge itself is outside

    def prepare(self) -> None:
        """Has nothing to compile."""

    def populate(self, table: Table, rng: np.random.Generator) -> None:
        ids = np.arange(1, 1 + self._entities, dtype=np.int64)  # unique, since this world has one area
        place = ids[:, np.newaxis].astype(np.float64) * STEPS
        part = place - np.floor(place)
        position = (self._low + part * (self._high - self._low)).astype(np.float32)
        velocity = ((2 * np.roll(part, 1, axis=1) - 1) * self._speed).astype(np.float32)
        table.spawn(ids, {"position": np.where(position > self._last, self._last, position), "velocity": velocity})

    def step(self, table: Table, batch: Batch, tick: int, rng: np.random.Generator) -> None:
        position, velocity = table.column("position"), table.column("velocity")
        position += velocity * self._seconds
        below, above = position < self._first, position > self._last
        np.copyto(position, self._first, where=below)
        np.copyto(velocity, np.abs(velocity), where=below)
        np.copyto(position, self._last, where=above)
        np.copyto(velocity, -np.abs(velocity), where=above)
