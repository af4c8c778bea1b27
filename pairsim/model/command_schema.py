"""The command schema of an area: its components, its operations, and the check of a command against both."""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec

from pairsim.model.commands import BASE_OPS, MAX_ENTITY, MAX_ID_LENGTH, Command, CommandError
from pairsim.model.state.plain_values import plain_item
from pairsim.model.state.schema import Component, Schema

_INTEGER_RANGE = {
    f"{'u' if unsigned else ''}int{bits}": (0 if unsigned else -(2 ** (bits - 1)), 2 ** (bits - 1 + unsigned) - 1)
    for bits in (8, 16, 32, 64)
    for unsigned in (False, True)
}
_FLOAT32_MAX = 3.4028234663852886e38
_FLOAT64_MAX = 1.7976931348623157e308


class Operation(msgspec.Struct, frozen=True):
    """An operation that a simulator adds: its own kind of command, on one entity.

    Attributes:
        name: The name of the operation; it must differ from `spawn`, `despawn` and `set`, which every area has.
        arguments: The arguments that a command of this operation carries in place of components; all are required.
    """

    name: str
    arguments: tuple[Component, ...] = ()

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "name", plain_item(self.name))
        msgspec.structs.force_setattr(self, "arguments", tuple(self.arguments))


class CommandSchema:
    """The components and operations of a simulator, for the check of commands before they are logged.

    Attributes:
        schema: The simulator's components.
        operations: The simulator's own operations by name.
    """

    def __init__(self, schema: Schema, operations: Iterable[Operation]) -> None:
        """Takes a simulator's components and operations.

        Raises:
            ValueError: Two operations have the same name, or one has the name of an operation that every area has.
        """
        self.schema = schema
        self.operations: dict[str, Operation] = {}
        for operation in operations:
            if operation.name in self.operations:
                raise ValueError(f"two operations have the name {operation.name!r}: give them different names")
            self.operations[operation.name] = operation
        clash = BASE_OPS & self.operations.keys()
        if clash:
            raise ValueError(
                f"every area has the operation {min(clash)!r} already: give the simulator's operation another name"
            )
        self._components = {component.name: component for component in schema}
        self._arguments = {
            name: {argument.name: argument for argument in operation.arguments}
            for name, operation in self.operations.items()
        }

    def check(self, command: Command) -> None:
        """Checks whether the command can be valid in some state of the area.

        Raises:
            CommandError: The command can never be valid; the message names the mistake and what would be right.
        """
        if not 1 <= len(command.id) <= MAX_ID_LENGTH:
            raise CommandError(f"a command's id has 1 to {MAX_ID_LENGTH} characters, this one {len(command.id)}")
        if not 0 <= command.entity <= MAX_ENTITY:
            raise CommandError(f"command {command.id}: an entity's id is within 0 to 2**63 - 1, not {command.entity}")
        arguments = self._arguments.get(command.op)
        if arguments is not None:
            if command.components.keys() != arguments.keys():
                raise CommandError(
                    f"command {command.id}: {command.op} takes {_join_names(arguments)}, "
                    f"not {_join_names(command.components)}"
                )
            self._check_values(command, arguments)
        elif command.op in BASE_OPS:
            if command.op == "despawn" and command.components:
                raise CommandError(f"command {command.id}: despawn takes no components")
            if command.op == "set" and not command.components:
                raise CommandError(f"command {command.id}: set takes at least one of {_join_names(self._components)}")
            self._check_values(command, self._components)
        else:
            known = _join_names([*sorted(BASE_OPS), *self.operations])
            raise CommandError(f"command {command.id}: the operation {command.op!r} is unknown: use one of {known}")

    @staticmethod
    def _check_values(command: Command, components: dict[str, Component]) -> None:
        for name, value in command.components.items():
            component = components.get(name)
            if component is None:
                raise CommandError(
                    f"command {command.id}: the component {name!r} is unknown: use one of {_join_names(components)}"
                )
            if not component.fits(value):
                raise CommandError(f"command {command.id}: {name} takes {component.shape_phrase}, not {value}")
            low, high = _value_range(component)
            for number in value if isinstance(value, list) else (value,):
                if not low <= number <= high:  # also refuses NaN
                    raise CommandError(f"command {command.id}: {name} is within {low} to {high}, not {number}")
                if not component.is_float and number != math.floor(number):
                    raise CommandError(f"command {command.id}: {name} takes whole numbers, not {number}")


def _value_range(component: Component) -> tuple[float, float]:
    """Returns the lowest and the highest number that a command may set (inclusive)."""
    if component.dtype == "float64":
        low, high = -_FLOAT64_MAX, _FLOAT64_MAX
    elif component.dtype == "float32":
        low, high = -_FLOAT32_MAX, _FLOAT32_MAX
    else:
        low, high = _INTEGER_RANGE[component.dtype]
    return (
        low if component.low is None else max(low, component.low),
        high if component.high is None else min(high, component.high),
    )


def _join_names(names: Iterable[str]) -> str:
    return ", ".join(names) or "nothing"
