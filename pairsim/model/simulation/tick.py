"""The execution of one tick of an area: its commands, then the simulator's step.

The active and a replay run the same code. The `spawn`, `despawn` and `set` commands of a tick come first, in their
order, then the commands of the simulator's own operations, in theirs. Commands were checked against the command schema
before they were logged. A command that still does not fit (the log was written for another version of the simulator) is
rejected, because a replica that raised here would raise again at every replay.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from pairsim.model.area import AreaSpec
from pairsim.model.commands import BASE_OPS, Command, Value
from pairsim.model.simulation.random import random_stream
from pairsim.model.simulation.simulator import Batch, Simulator, rejection_text
from pairsim.model.state.schema import Component
from pairsim.model.state.table import Table

PlacedCommands = list[tuple[int, Command]]
"""Commands with their places in the tick."""

Rejected = dict[int, str]
"""Reasons of rejected commands by place in the tick."""


def populate_initial(simulator: Simulator, table: Table, spec: AreaSpec) -> None:
    """Fills an empty table with the entities of tick 0."""
    simulator.populate(table, random_stream(spec.seed, spec.area, 0))


def advance(
    simulator: Simulator, table: Table, commands: Sequence[Command], tick: int, spec: AreaSpec
) -> dict[int, str]:
    """Advances the table from tick - 1 to `tick`.

    Returns:
        The reasons of the commands that changed nothing, by place in `commands`.
    """
    rejected: Rejected = {}
    base, own = _partition_commands(simulator, table, commands, rejected)
    for op, run in itertools.groupby(base, lambda item: item[1].op):
        _BASE[op](table, list(run), rejected)
    batch = Batch([command for _, command in own], simulator.operations)
    simulator.step(table, batch, tick, random_stream(spec.seed, spec.area, tick))
    rejected.update(
        (own[index][0], rejection_text(reason))
        for index, reason in batch.rejected.items()
        if -len(own) <= index < len(own)
    )
    return rejected


def _partition_commands(
    simulator: Simulator, table: Table, commands: Sequence[Command], rejected: Rejected
) -> tuple[PlacedCommands, PlacedCommands]:
    """Returns the commands of the base operations and those of the simulator's own; rejects all that do not fit."""
    base: PlacedCommands = []
    own: PlacedCommands = []
    components = {component.name: component for component in table.schema}
    arguments = {operation.name: {a.name: a for a in operation.arguments} for operation in simulator.operations}
    for place, command in enumerate(commands):
        if command.op in BASE_OPS:
            known, run = components, base
        elif command.op in arguments:
            known, run = arguments[command.op], own
        else:
            rejected[place] = f"the operation {command.op!r} is unknown"
            continue
        error = _shape_error(command.components, known)
        if not error and run is own and len(command.components) < len(known):
            error = f"{command.op} takes {', '.join(known)}"
        if error:
            rejected[place] = error
        else:
            run.append((place, command))
    return base, own


def _shape_error(values: Mapping[str, Value], known: Mapping[str, Component]) -> str:
    """Returns why the values do not fit the components; empty if they do."""
    for name, value in values.items():
        component = known.get(name)
        if component is None:
            return f"the component {name!r} is unknown"
        if not component.fits(value):
            return f"{name} takes {component.shape_phrase}"
    return ""


def _spawn(table: Table, run: PlacedCommands, rejected: Rejected) -> None:
    new: dict[int, Command] = {}
    for (place, command), row in zip(run, _rows(table, run), strict=True):
        if command.entity in new or row >= 0:
            rejected[place] = f"entity {command.entity} exists already"
        else:
            new[command.entity] = command
    values = _by_component(enumerate(command.components for command in new.values()))
    columns = {}
    for name, given in values.items():
        component = table.schema[name]
        column = np.zeros((len(new), component.width) if component.width > 1 else len(new), component.dtype)
        column[list(given)] = _numbers(given)
        columns[name] = column
    table.spawn(np.fromiter(new, np.int64, len(new)), columns)


def _despawn(table: Table, run: PlacedCommands, rejected: Rejected) -> None:
    gone: dict[int, None] = {}
    for (place, command), row in zip(run, _rows(table, run), strict=True):
        if command.entity in gone or row < 0:
            rejected[place] = f"entity {command.entity} does not exist"
        else:
            gone[command.entity] = None
    table.despawn(np.fromiter(gone, np.int64, len(gone)))


def _set(table: Table, run: PlacedCommands, rejected: Rejected) -> None:
    rows = _rows(table, run)
    for row, (place, command) in zip(rows, run, strict=True):
        if row < 0:
            rejected[place] = f"entity {command.entity} does not exist"
    values = _by_component((row, command.components) for row, (_, command) in zip(rows, run, strict=True) if row >= 0)
    for name, given in values.items():
        table.column(name)[list(given)] = _numbers(given)


def _rows(table: Table, run: PlacedCommands) -> list[int]:
    """Returns the row of each command's entity; -1 for an entity that does not exist."""
    rows: list[int] = table.rows(np.fromiter((command.entity for _, command in run), np.int64, len(run))).tolist()
    return rows


def _by_component(items: Iterable[tuple[int, Mapping[str, Value]]]) -> dict[str, dict[int, Value]]:
    """Returns values by component and row; of several values for a row the last one counts."""
    values: dict[str, dict[int, Value]] = {}
    for row, components in items:
        for name, value in components.items():
            values.setdefault(name, {})[row] = value
    return values


def _numbers(given: Mapping[int, Value]) -> npt.NDArray[np.float64]:
    """Returns the values as every replica reads them from the log, which carries all numbers as float64."""
    return np.array(list(given.values()), np.float64)


_BASE: dict[str, Callable[[Table, PlacedCommands, Rejected], None]] = {
    "spawn": _spawn,
    "despawn": _despawn,
    "set": _set,
}
