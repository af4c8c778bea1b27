"""What a simulator is: the logic of a plane, written by anybody, found by name.

`step` is deterministic: the table, the commands and the given random stream are all it may read, by operations
that are exactly rounded and whose order is fixed. Anything that looks elsewhere goes into `perceive`, which runs
on the active only and emits commands; those are logged.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Iterable, Sequence
from typing import Protocol, cast, runtime_checkable

import numpy as np
import numpy.typing as npt

from pairsim.model.area import AreaSpec
from pairsim.model.command_schema import Operation
from pairsim.model.commands import Command
from pairsim.model.state.schema import Component, Schema
from pairsim.model.state.table import Table

ENTRY_POINTS = "pairsim.simulators"
_MEMBERS = ("components", "operations", "prepare", "populate", "step", "perceive")


class ParameterError(ValueError):
    """A parameter of a simulator that it cannot work with."""


class SimulatorNotFoundError(LookupError):
    """No simulator of that name."""


class Batch:
    """The simulator's own commands of one tick, in order.

    Attributes:
        commands: All of them; their shapes have been checked.
        rejected: Reasons by place in the batch.
    """

    def __init__(self, commands: Sequence[Command], operations: Iterable[Operation]) -> None:
        """Of commands whose operations are among the simulator's."""
        self.commands = commands
        self.rejected: dict[int, str] = {}
        self._operations = {operation.name: operation for operation in operations}

    def of(self, op: str) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64], dict[str, npt.NDArray[np.generic]]]:
        """All commands of one operation as arrays, which are empty where there is none.

        Returns:
            Their places in the batch (k,), their entities (k,), and their arguments by name, (k,) or (k, width), in
            the dtype that the operation declares.

        Raises:
            KeyError: The simulator has no such operation.
        """
        operation = self._operations[op]
        places = [i for i, command in enumerate(self.commands) if command.op == op]
        chosen = [self.commands[i] for i in places]
        return (
            np.array(places, np.intp),
            np.array([command.entity for command in chosen], np.int64),
            {argument.name: _values(argument, chosen) for argument in operation.arguments},
        )

    def reject(self, index: int, reason: str) -> None:
        """The command at a place in the batch changes nothing, and why."""
        self.rejected[int(index)] = reason


def _values(argument: Component, commands: Sequence[Command]) -> npt.NDArray[np.generic]:
    values = np.array([command.components[argument.name] for command in commands], np.float64)
    shape = (len(commands), argument.width) if argument.width > 1 else (len(commands),)
    return values.reshape(shape).astype(argument.dtype)


@runtime_checkable
class Simulator(Protocol):
    """The logic of one area of a plane.

    Attributes:
        components: What an entity has; this plane is their only writer.
        operations: Commands beyond `spawn`, `despawn` and `set`.
    """

    components: Schema
    operations: tuple[Operation, ...]

    def __init__(self, area: AreaSpec) -> None:
        """Takes the area and its parameters.

        Raises:
            ParameterError: A parameter is unknown or out of range.
        """

    def prepare(self) -> None:
        """Compiles and warms what `step` needs; may take seconds. Called before the replica votes."""

    def populate(self, table: Table, rng: np.random.Generator) -> None:
        """Makes the entities of tick 0; deterministic."""

    def step(self, table: Table, batch: Batch, tick: int, rng: np.random.Generator) -> None:
        """Goes from tick - 1 to `tick`; deterministic. `spawn`, `despawn` and `set` have been done already."""

    def perceive(self, table: Table, tick: int) -> Iterable[Command]:
        """Looks elsewhere and says what it saw as commands for `tick`. On the active only."""


def load_simulator(name: str) -> type[Simulator]:
    """Finds a simulator by entry point name or `module:Class`.

    Raises:
        SimulatorNotFoundError: There is none, with the names that there are.
    """
    installed = {point.name: point for point in importlib.metadata.entry_points(group=ENTRY_POINTS)}
    module, colon, attribute = name.partition(":")
    try:
        if colon:
            found = getattr(importlib.import_module(module), attribute)
        elif name in installed:
            found = installed[name].load()
        else:
            known = ", ".join(sorted(installed)) or "none"
            raise SimulatorNotFoundError(
                f"there is no simulator {name!r}: installed are {known}; another one is named as module:Class"
            )
    except (ImportError, AttributeError, ValueError, TypeError, SyntaxError) as error:
        raise SimulatorNotFoundError(f"the simulator {name!r} cannot be loaded: {error}") from error
    missing = [member for member in _MEMBERS if not hasattr(found, member)]
    if not isinstance(found, type) or missing:
        raise SimulatorNotFoundError(
            f"{name!r} is no simulator: it must be a class with {', '.join(_MEMBERS)}"
            + (f", and lacks {', '.join(missing)}" if missing else "")
        )
    return cast("type[Simulator]", found)
