"""The specification of an area: all that its members need to know to simulate it."""

from __future__ import annotations

from typing import Annotated

import msgspec

from pairsim.model.geometry import Box
from pairsim.model.names import Name

Parameter = bool | int | float | str
TickRate = Annotated[float, msgspec.Meta(gt=0, le=1000)]


class AreaSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The specification of an area; the same on every member.

    Attributes:
        area: The area's name.
        plane: The name of the plane that the area is a part of.
        simulator: The simulator's entry point name, `module:Class`, or `exec:PATH` for a program.
        parameters: The parameters of the simulator, from the plane.
        seed: The seed of the world's random numbers.
        tick_rate: Ticks per second.
        bounds: The box that the area has authority over, in metres.
        world: The box of the whole world, in metres.
        entities: The number of entities that `populate` creates at tick 0.
    """

    area: Name
    plane: Name
    simulator: str
    parameters: dict[str, Parameter] = {}
    seed: int = 0
    tick_rate: TickRate = 20.0
    bounds: Box
    world: Box
    entities: Annotated[int, msgspec.Meta(ge=0, le=50_000_000)] = 0

    def changed_fields(self, other: AreaSpec) -> list[str]:
        """Returns the fields in which two specifications of one area differ, by their names in a world file.

        An area is defined by them once and for all: another value would be another history.
        """
        return [label for field, label in _LABELS.items() if getattr(self, field) != getattr(other, field)]


_LABELS = {
    "plane": "plane", "simulator": "simulator", "seed": "seed", "bounds": "bounds", "world": "the plane's bounds",
    "entities": "entities", "tick_rate": "tickRate", "parameters": "parameters",
}  # fmt: skip
