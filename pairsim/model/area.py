"""An area: what its members must know to simulate it."""

from __future__ import annotations

from typing import Annotated

import msgspec

from pairsim.model.geometry import Box
from pairsim.model.names import Name

Parameter = bool | int | float | str
TickRate = Annotated[float, msgspec.Meta(gt=0, le=1000)]


class AreaSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a replica must know to simulate an area; the same on every member.

    Attributes:
        area: The area's name.
        plane: The plane that it is a part of.
        simulator: Entry point name or `module:Class`.
        parameters: The plane's simulator parameters.
        seed: The world's seed.
        tick_rate: Ticks per second.
        bounds: The area's part of the world, in metres.
        world: The world's edge, in metres.
        entities: How many entities `populate` creates at genesis.
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
