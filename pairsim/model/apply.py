"""One tick of an area: commands, then the simulator's step. The same code on the active and in a replay.

`spawn`, `despawn` and `set` of a tick are done first, in their order, then the simulator's own commands, in theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pairsim.model.assignment import AreaSpec
from pairsim.model.commands import BASE_OPS, Command
from pairsim.model.random import stream
from pairsim.model.simulator import Batch, Simulator
from pairsim.model.table import Table


def genesis(simulator: Simulator, table: Table, spec: AreaSpec) -> None:
    """Fills an empty table with the entities of tick 0."""
    simulator.populate(table, stream(spec.seed, spec.area, 0))


def advance(
    simulator: Simulator, table: Table, commands: Sequence[Command], tick: int, spec: AreaSpec
) -> dict[int, str]:
    """Takes the table from tick - 1 to `tick`.

    Returns:
        The commands that changed nothing, by place, and why.
    """
    rejected: dict[int, str] = {}
    own: list[int] = []
    known = {operation.name for operation in simulator.operations}
    for place, command in enumerate(commands):
        if command.op in BASE_OPS:
            reason = _BASE[command.op](table, command)
            if reason:
                rejected[place] = reason
        elif command.op in known:
            own.append(place)
        else:
            rejected[place] = f"the operation {command.op!r} is unknown"
    batch = Batch([commands[place] for place in own])
    simulator.step(table, batch, tick, stream(spec.seed, spec.area, tick))
    rejected.update((own[index], reason) for index, reason in batch.rejected.items())
    return rejected


def _spawn(table: Table, command: Command) -> str:
    if command.entity in table:
        return f"entity {command.entity} exists already"
    table.spawn(
        np.array([command.entity], np.int64),
        {name: np.array([value]) for name, value in command.components.items() if name in table.schema},
    )
    return ""


def _despawn(table: Table, command: Command) -> str:
    if command.entity not in table:
        return f"entity {command.entity} does not exist"
    table.despawn(np.array([command.entity], np.int64))
    return ""


def _set(table: Table, command: Command) -> str:
    row = table.row(command.entity)
    if row is None:
        return f"entity {command.entity} does not exist"
    for name, value in command.components.items():
        if name in table.schema:
            table.column(name)[row] = value
    return ""


_BASE: dict[str, Callable[[Table, Command], str]] = {"spawn": _spawn, "despawn": _despawn, "set": _set}
