"""pairsim keeps a simulated world running through failures.

The names below are what programs use that talk to an area; authors of simulators import `pairsim.simulator`. A name is
imported when it is first used, so that `import pairsim` and every process that needs a part of the package stay small.

    async with pairsim.AreaClient(["http://127.0.0.1:8101"], area="west") as client:
        await client.send([pairsim.Command(pairsim.new_id(), "impulse", 42, {"impulse": [1, 0, 0]})])

A `pairsim.WorldClient` finds the area of entity 42 by itself.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pairsim.client.client import AreaClient, new_id
    from pairsim.client.errors import ClientError, CommandsRefused, Overloaded, RequestRefused, Unavailable
    from pairsim.client.session import Session
    from pairsim.client.world.client import WorldClient
    from pairsim.client.world.merge import WorldFrame
    from pairsim.model.commands import Command, CommandError, Result, Status
    from pairsim.model.geometry import Box
    from pairsim.model.status import ReplicaStatus, Role
    from pairsim.protocol.frames import EntitiesAnswer, Entity, EntityAnswer, Frame, SwitchoverAnswer

    __version__: str

__all__ = [
    "AreaClient",
    "Box",
    "ClientError",
    "Command",
    "CommandError",
    "CommandsRefused",
    "EntitiesAnswer",
    "Entity",
    "EntityAnswer",
    "Frame",
    "Overloaded",
    "ReplicaStatus",
    "RequestRefused",
    "Result",
    "Role",
    "Session",
    "Status",
    "SwitchoverAnswer",
    "Unavailable",
    "WorldClient",
    "WorldFrame",
    "__version__",
    "new_id",
]

_LAZY_NAMES = """
pairsim.client.client: AreaClient new_id
pairsim.client.errors: ClientError CommandsRefused Overloaded RequestRefused Unavailable
pairsim.client.session: Session
pairsim.client.world.client: WorldClient
pairsim.client.world.merge: WorldFrame
pairsim.model.commands: Command CommandError Result Status
pairsim.model.geometry: Box
pairsim.model.status: ReplicaStatus Role
pairsim.protocol.frames: EntitiesAnswer Entity EntityAnswer Frame SwitchoverAnswer
"""
"""Modules with the public names that they define."""


def _module_of(name: str) -> str | None:
    """Returns the module that defines a public name; None for other names."""
    for line in _LAZY_NAMES.splitlines():
        module, _, names = line.partition(": ")
        if name in names.split():
            return module
    return None


if not TYPE_CHECKING:  # a type checker must report unknown names, and reads the imports above

    def __getattr__(name: str) -> object:
        """Imports a public name when it is first used."""
        if name == "__version__":
            from importlib.metadata import version  # noqa: PLC0415 - it loads more than all the rest

            value = version("pairsim")
        elif (module := _module_of(name)) is not None:
            value = getattr(import_module(module), name)
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """Returns the public names."""
    return list(__all__)
