"""A tick of an area: what it takes in over its borders, the simulator's step, and what leaves.

The active, a replay and the check of a passive compute a tick in this one way, so that all of them come to the same
state. The step runs in the engine, the rest here: an engine knows nothing of borders.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import NamedTuple

import numpy as np

from pairsim.model.borders import BorderInputs, BorderState, count_lives, cross, decide, settle, take
from pairsim.model.borders.codec.inputs import decode_inputs
from pairsim.model.borders.commands import attempt_of
from pairsim.model.borders.entity_sets import NO_IDS, Ids
from pairsim.model.commands import Command
from pairsim.model.state.schema import Schema
from pairsim.model.state.table import Table
from pairsim.replication.log.records import Tick
from pairsim.replication.sync.simulator_calls import SimulatorCalls

NO_INPUTS = BorderInputs()
"""The inputs of a tick in which nothing comes in over borders."""


class AdvancedArea(NamedTuple):
    """The result of a tick beside the changed table.

    Attributes:
        borders: The borders.
        refused: The entities that were refused because their ids are taken, int64 (r,).
    """

    borders: BorderState
    refused: Ids = NO_IDS


def inputs_of(record: Tick, schema: Schema) -> BorderInputs:
    """Returns what a tick took in over borders.

    Raises:
        BorderCodecError: The record is not one of an area with these components.
    """
    return decode_inputs(record.inputs, schema) if record.inputs else NO_INPUTS


class AreaAdvance:
    """Computes ticks of one area."""

    def __init__(self, calls: SimulatorCalls) -> None:
        """Takes the calls of the simulator."""
        self._calls = calls

    def __call__(
        self,
        table: Table,
        borders: BorderState,
        tick: int,
        *,
        commands: Sequence[Command],
        inputs: BorderInputs,
        left_out: Container[str] = (),
        ids: Ids | None = None,
    ) -> AdvancedArea:
        """Advances a table of the engine from tick - 1 to `tick`.

        Args:
            table: The entities.
            borders: The borders at tick - 1, which do not change.
            tick: The tick.
            commands: The commands of the tick.
            inputs: What the tick takes in over borders.
            left_out: The ids of commands that are rejected without a call of the simulator.
            ids: The ids of the table by row, if the caller has them in another place; they are copied otherwise.

        Raises:
            EngineError: The simulator failed; the table is in between.
        """
        after = borders.copy()
        taken = take(after, table, inputs, tick)
        decided = decide(after, table, [attempt_of(command) for command in commands], tick)
        run = [order.command for order in taken.orders]
        run += [command for command, decision in zip(commands, decided, strict=True) if decision.runs]
        before = table.ids.copy() if ids is None or len(taken.arrived) else ids
        layout = table.layout
        rejected, refused = self._calls.advance(table, run, tick, left_out), taken.refused
        settle(after, taken.orders, {run[place].id: reason for place, reason in rejected.items()})
        if table.layout != layout:
            refused = np.concatenate((refused, count_lives(after, table, before).refused))
        cross(after, table, tick)
        return AdvancedArea(after, refused)

    def repeat(self, table: Table, borders: BorderState, record: Tick, left_out: Container[str]) -> AdvancedArea:
        """Advances a table of the engine by the tick of a record.

        Raises:
            EngineError: The simulator failed; the table is in between.
            BorderCodecError: The record is not one of an area with these components.
        """
        inputs = inputs_of(record, table.schema)
        return self(table, borders, record.tick, commands=record.commands, inputs=inputs, left_out=left_out)
