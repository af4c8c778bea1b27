"""The simulator `physics`: spheres of mass 1 that move, bounce off the world's edge and optionally off each other.

Parameters of the plane:
    collisions (bool, false): Whether spheres collide.
    radius (number, 0.5): The radius of a sphere, in metres; it matters for collisions only.
    speed (number, 5): The highest speed of the entities of tick 0 on every axis, in metres per second.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import cast

import numpy as np
import numpy.typing as npt

from pairsim.simulator import (
    AreaSpec,
    Batch,
    Component,
    Operation,
    ParameterError,
    Schema,
    Table,
    first_entity,
)
from pairsim.simulators import reference

MAX_SPEED = 10_000.0
"""In metres per second on every axis. The limit keeps all values from clients within what float32 can square."""

SPEED_LIMIT = np.float32(MAX_SPEED)

MAX_COORDINATE = 1e7
"""In metres from the origin, also for the world's edge."""

MAX_TICK_SECONDS = 3600.0
"""The longest tick, in seconds."""

_DEFAULTS: dict[str, bool | float] = {"collisions": False, "radius": 0.5, "speed": 5.0}

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float32]


class Physics:
    """The simulator of spheres; the module describes its parameters."""

    components = Schema(
        (
            Component("position", "float32", 3, -MAX_COORDINATE, MAX_COORDINATE),
            Component("velocity", "float32", 3, -MAX_SPEED, MAX_SPEED),
        )
    )
    operations = (Operation("impulse", (Component("impulse", "float32", 3, -2 * MAX_SPEED, 2 * MAX_SPEED),)),)

    def __init__(self, area: AreaSpec) -> None:
        """Takes the area.

        Raises:
            ParameterError: A parameter is unknown or out of range, or the world or a tick is too large.
        """
        self._area = area
        self._collisions, self._radius, self._speed = _parameters(area)
        self._dt = np.float32(1.0 / area.tick_rate)
        self._low, self._high = (np.array(corner, np.float32) for corner in (area.world.min, area.world.max))
        self._diameter = np.float32(2 * self._radius)
        self._move: Callable[[Floats, Floats, np.float32, np.float32, Floats, Floats], None] = reference.move
        self._collide: Callable[[Floats, Floats], None] = self._collide_by_reference

    def prepare(self) -> None:
        """Loads the compiled kernels."""
        try:
            from pairsim.simulators import kernels  # noqa: PLC0415 - numba is for replicas that simulate
        except ImportError as error:
            log.warning("compiled kernels not available: using the slower reference: %s", error)
            return
        self._move = kernels.move
        self._collide = kernels.Collider(self._diameter, SPEED_LIMIT).collide

    def populate(self, table: Table, rng: np.random.Generator) -> None:
        """Creates entities evenly over the area, with ids that are unique in the world."""
        count = self._area.entities
        low, high = (np.array(corner, np.float32) for corner in (self._area.bounds.min, self._area.bounds.max))
        place = low + rng.random((count, 3), np.float32) * (high - low)
        place = np.minimum(place, np.nextafter(high, low))  # rounding may reach the edge, which is not the area's
        speed = (rng.random((count, 3), np.float32) * np.float32(2) - np.float32(1)) * np.float32(self._speed)
        ids = first_entity(self._area) + np.arange(count, dtype=np.int64)
        table.spawn(ids, {"position": place, "velocity": speed})

    def step(self, table: Table, batch: Batch, tick: int, rng: np.random.Generator) -> None:
        """Applies impulses, then motion, then collisions.

        Motion comes before collisions because it brings entities back that a client put outside the world.
        """
        position, velocity = cast("Floats", table.column("position")), cast("Floats", table.column("velocity"))
        if batch.commands:
            self._impulses(table, batch, velocity)
        self._move(position, velocity, SPEED_LIMIT, self._dt, self._low, self._high)
        if self._collisions:
            self._collide(position, velocity)

    def _impulses(self, table: Table, batch: Batch, velocity: Floats) -> None:
        places, entities, arguments = batch.of("impulse")
        rows = table.rows(entities)
        for place in places[rows < 0]:
            batch.reject(place, f"entity {batch.commands[place].entity} does not exist")
        here = rows >= 0
        # One after another in the order of the commands: `add.at` does not merge rows that come twice.
        np.add.at(velocity, rows[here], arguments["impulse"][here])

    def _collide_by_reference(self, position: Floats, velocity: Floats) -> None:
        reference.collide(position, velocity, self._diameter, SPEED_LIMIT)


def _parameters(area: AreaSpec) -> tuple[bool, float, float]:
    unknown = area.parameters.keys() - _DEFAULTS.keys()
    if unknown:
        raise ParameterError(f"physics has no parameter {min(unknown)!r}: it takes {', '.join(_DEFAULTS)}")
    values = _DEFAULTS | area.parameters
    collisions, radius, speed = values["collisions"], values["radius"], values["speed"]
    if not isinstance(collisions, bool):
        raise ParameterError(f"collisions is true or false, not {collisions!r}")
    if isinstance(radius, bool | str) or not 0 < radius <= 1e6:
        raise ParameterError(f"radius is a number of metres above 0, up to a million, not {radius!r}")
    if isinstance(speed, bool | str) or not 0 <= speed <= MAX_SPEED:
        raise ParameterError(f"speed is a number from 0 to {MAX_SPEED:g}, not {speed!r}")
    if max(map(abs, (*area.world.min, *area.world.max))) > MAX_COORDINATE:
        raise ParameterError(f"the bounds of the plane must be within {MAX_COORDINATE:g} metres of the origin")
    if area.tick_rate * MAX_TICK_SECONDS < 1:
        raise ParameterError(f"tickRate is at least one tick per {MAX_TICK_SECONDS:g} seconds, not {area.tick_rate}")
    return collisions, float(radius), float(speed)
