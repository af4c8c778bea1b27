"""The specification of an area: all that its members need to know to simulate it."""

from __future__ import annotations

from typing import Annotated

import msgspec

from pairsim.model.geometry import Box
from pairsim.model.names import Name

Parameter = bool | int | float | str
TickRate = Annotated[float, msgspec.Meta(gt=0, le=1000)]

_MIN_HANG_SECONDS, _HANG_TICKS = 2.0, 20.0


class Detection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """How soon the members of an area take each other, or an engine, for failed.

    Attributes:
        election_timeout_ms: The shortest election timeout in milliseconds: a replica that hears nothing of its active
            for this long, or up to 1.7 times as long, asks for votes. Unset means 150. A member that lost its journal
            relies on equal timeouts of all members, so they stay the same for the life of an area. Below the lower
            bound an ordinary pause of a machine would look like the end of an active.
        hang_seconds: How long a call of a simulator may last before its engine is killed. Unset means 2 s or 20 ticks,
            whichever is longer.
    """

    election_timeout_ms: Annotated[int, msgspec.Meta(ge=100, le=5000)] | msgspec.UnsetType = msgspec.UNSET
    hang_seconds: Annotated[float, msgspec.Meta(ge=0.5, le=600)] | msgspec.UnsetType = msgspec.UNSET


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
        detection: How soon members take each other, or an engine, for failed; unset if the plane does not say it.
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
    detection: Detection | msgspec.UnsetType = msgspec.UNSET

    @property
    def hang_seconds(self) -> float:
        """How long a call of the simulator may last before its engine is killed."""
        wanted = self.detection.hang_seconds if self.detection else msgspec.UNSET
        return wanted or max(_MIN_HANG_SECONDS, _HANG_TICKS / self.tick_rate)

    def changed_fields(self, other: AreaSpec) -> list[str]:
        """Returns the fields in which two specifications of one area differ, by their names in a world file.

        An area is defined by them once and for all: another value would be another history.
        """
        return [label for field, label in _LABELS.items() if getattr(self, field) != getattr(other, field)]


_LABELS = {
    "plane": "plane", "simulator": "simulator", "seed": "seed", "bounds": "bounds", "world": "the plane's bounds",
    "entities": "entities", "tick_rate": "tickRate", "parameters": "parameters",
    "detection": "detection",
}  # fmt: skip
