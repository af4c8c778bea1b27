"""What a replica knows of a simulator without its code: the columns of its state, and its own commands."""

from __future__ import annotations

from typing import Protocol

import msgspec

from pairsim.model.command_schema import CommandSchema, Operation
from pairsim.model.state.schema import Component, Schema


class HasInterface(Protocol):
    """A simulator that is loaded, such as an engine.

    Attributes:
        components: The simulator's components.
        operations: The simulator's own operations.
    """

    components: Schema
    operations: tuple[Operation, ...]


class SimulatorInterface(msgspec.Struct, frozen=True, array_like=True):
    """The components and the operations of a simulator.

    Attributes:
        components: The simulator's components, in their order.
        operations: The simulator's own operations.
    """

    components: tuple[Component, ...]
    operations: tuple[Operation, ...] = ()

    def __post_init__(self) -> None:
        """Raises ValueError if they do not fit together."""
        CommandSchema(self.schema, self.operations)

    @property
    def schema(self) -> Schema:
        """The components as a schema."""
        return Schema(self.components)


def interface_of(simulator: HasInterface) -> SimulatorInterface:
    """Returns the interface of a simulator that is loaded."""
    return SimulatorInterface(tuple(simulator.components), simulator.operations)
