"""The simulator protocol. A simulator is the logic of a plane; users write their own, and it is found by name.

`step` must be deterministic: it may read the table, the commands and the given random stream only, and it may use only
operations that are exactly rounded and whose order is fixed. Code that looks elsewhere belongs into `perceive`, which
runs on the active only and returns commands; these are logged.
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
from pairsim.model.simulation.foreign_text import error_text, foreign_text
from pairsim.model.simulation.module_names import check_name, is_program
from pairsim.model.state.schema import Component, Schema
from pairsim.model.state.table import Table

ENTRY_POINTS = "pairsim.simulators"
MAX_REASON_BYTES = 140
_MEMBERS = ("components", "operations", "prepare", "populate", "step")


class ParameterError(ValueError):
    """The error for a parameter that a simulator does not know or that is out of range."""


class SimulatorNotFoundError(LookupError):
    """The error for a name under which no usable simulator is found."""


class Batch:
    """The commands of the simulator's own operations in one tick, in order.

    Attributes:
        commands: The commands; their shapes have been checked.
        rejected: The reasons of rejected commands, by place in the batch.
    """

    def __init__(self, commands: Sequence[Command], operations: Iterable[Operation]) -> None:
        """Takes commands whose operations are among the simulator's."""
        self.commands = commands
        self.rejected: dict[int, str] = {}
        self._operations = {operation.name: operation for operation in operations}

    def of(self, op: str) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64], dict[str, npt.NDArray[np.generic]]]:
        """Returns all commands of one operation as arrays, which are empty if the batch has no such command.

        Returns:
            The places of the commands in the batch, intp (k,); their entities, int64 (k,); and their arguments by name,
            (k,) or (k, width), in the dtype that the operation declares.

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

    def reject(self, index: int, reason: object) -> None:
        """Rejects the command at a place in the batch: it changes nothing, and its sender reads the reason.

        Args:
            index: The place; a place that the batch does not have is ignored.
            reason: A text, or any object that has one, such as an exception.
        """
        self.rejected[int(index)] = rejection_text(reason)


def rejection_text(reason: object) -> str:
    """Returns the text of a reason, short enough for the log; never empty, since no reason means an applied command."""
    text = error_text(reason) if isinstance(reason, BaseException) else foreign_text(reason)
    text = text[:MAX_REASON_BYTES].strip() or "the simulator rejected it without a reason"
    return text.encode()[:MAX_REASON_BYTES].decode(errors="ignore")


def _values(argument: Component, commands: Sequence[Command]) -> npt.NDArray[np.generic]:
    values = np.array([command.components[argument.name] for command in commands], np.float64)
    shape = (len(commands), argument.width) if argument.width > 1 else (len(commands),)
    return values.reshape(shape).astype(argument.dtype)


@runtime_checkable
class Simulator(Protocol):
    """The logic of one area of a plane.

    Attributes:
        components: The columns of an entity; this plane is their only writer.
        operations: The operations beyond `spawn`, `despawn` and `set`.
    """

    components: Schema
    operations: tuple[Operation, ...]

    def __init__(self, area: AreaSpec) -> None:
        """Takes the area with its parameters.

        Raises:
            ParameterError: A parameter is unknown or out of range.
        """

    def prepare(self) -> None:
        """Compiles and loads what `step` needs; this may take seconds. A replica calls it before it votes."""

    def populate(self, table: Table, rng: np.random.Generator) -> None:
        """Creates the entities of tick 0 in an empty table. It must be deterministic."""

    def step(self, table: Table, batch: Batch, tick: int, rng: np.random.Generator) -> None:
        """Advances the table from tick - 1 to `tick`. It must be deterministic.

        The `spawn`, `despawn` and `set` commands of the tick have been applied already.
        """


@runtime_checkable
class PerceivingSimulator(Simulator, Protocol):
    """A simulator that also looks outside."""

    def perceive(self, table: Table, tick: int) -> Iterable[Command] | None:
        """Returns commands for `tick` that follow from what the simulator sees outside; None stands for an empty list.

        It runs on the active only. A simulator that does not look outside leaves it out, which saves a request.
        """


def load_simulator(name: str) -> type[Simulator]:
    """Finds a simulator by entry point name or `module:Class`.

    Raises:
        SimulatorNotFoundError: The name is unknown (the message lists the known ones), its module cannot be imported,
            or the name leads to an object that is not a simulator, or to a program.
    """
    if is_program(name):
        raise SimulatorNotFoundError(f"the simulator {name!r} is a program, not a class that can be imported")
    installed = {point.name: point for point in importlib.metadata.entry_points(group=ENTRY_POINTS)}
    module, colon, attribute = name.partition(":")
    try:
        if colon:
            check_name(module)
            found = getattr(importlib.import_module(module), attribute)
        elif name in installed:
            found = installed[name].load()
        else:
            known = ", ".join(sorted(installed)) or "none"
            raise SimulatorNotFoundError(
                f"the simulator {name!r} is unknown: installed are {known}; name another one as module:Class"
            )
    except (ImportError, AttributeError, ValueError, TypeError, SyntaxError) as error:
        raise SimulatorNotFoundError(f"the simulator {name!r} cannot be loaded: {error}") from error
    missing = [member for member in _MEMBERS if not hasattr(found, member)]
    if not isinstance(found, type) or missing:
        raise SimulatorNotFoundError(
            f"{name!r} is not a simulator: it must be a class with {', '.join(_MEMBERS)}"
            + (f", and lacks {', '.join(missing)}" if missing else "")
        )
    return cast("type[Simulator]", found)
