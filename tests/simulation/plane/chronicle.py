"""The committed states of one area, tick by tick, computed once more from its committed records.

An area is its records: whichever replicas computed its ticks, and however often, a chronicle comes to the same states.
It hears a record when a first member applies it, which is before any replica can send what the tick has computed. So
the newest states of the chronicles of all areas are one consistent world at every moment of a run.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pairsim.engine.in_process import InProcessEngine
from pairsim.model.area import AreaSpec
from pairsim.model.borders import BorderInputs, BorderState
from pairsim.model.commands import Command
from pairsim.model.state.table import Table
from pairsim.replication.log.records import Tick
from pairsim.replication.sync.area_tick import AreaAdvance, inputs_of
from pairsim.replication.sync.simulator_calls import SimulatorCalls
from pairsim.replication.sync.state import state_digest
from tests.simulation.oracle import Violation
from tests.simulation.plane.simulator import Travellers

Births = frozenset[int]


class Committed(NamedTuple):
    """The state of an area after a committed tick.

    Attributes:
        tick: The tick.
        ids, births, values, parents, positions: The table by row.
        moves: Whether an entity moves by itself.
        borders: The borders, which nobody changes.
        born, died: The entities that began and ceased to exist in this tick, by their births.
        applied: The entity of each command that the tick applied, by the command's id; 0 for a command without one. An
            area may also apply commands that others have forwarded to it.
        inputs: What the tick took in over borders.
    """

    tick: int
    ids: npt.NDArray[np.int64]
    births: npt.NDArray[np.int64]
    values: npt.NDArray[np.int64]
    parents: npt.NDArray[np.int64]
    positions: npt.NDArray[np.float32]
    moves: bool
    borders: BorderState
    born: Births
    died: Births
    applied: Mapping[str, int]
    inputs: BorderInputs

    @property
    def clock(self) -> int:
        """The clock of the tick."""
        return self.borders.clock


class _WatchedEngine(InProcessEngine):
    """An engine that notes what its last step did."""

    def __init__(self, spec: AreaSpec) -> None:
        super().__init__(Travellers(spec), spec)
        self.born, self.died = Births(), Births()
        self.applied: dict[str, int] = {}

    def advance(self, table: Table, commands: Sequence[Command], tick: int) -> dict[int, str]:
        before = _births_by_id(table)
        rejected = super().advance(table, commands, tick)
        after = _births_by_id(table)
        done = [command for place, command in enumerate(commands) if place not in rejected]
        self.born = Births(int(c.components["birth"]) for c in done if c.op == "spawn")  # type: ignore[arg-type]
        self.died = Births(before.values()) - Births(after.values())
        self.applied = {c.id: (before if c.op == "despawn" else after).get(c.entity, 0) for c in done}
        return rejected


def _births_by_id(table: Table) -> dict[int, int]:
    return dict(zip(table.ids.tolist(), table.column("birth").tolist(), strict=True))


class Chronicle:
    """The committed states of an area.

    Attributes:
        states: The states by tick; the first one is that of tick 0.
        by_clock: The states by clock.
    """

    def __init__(self, spec: AreaSpec) -> None:
        self._engine = _WatchedEngine(spec)
        self._engine.populate()
        self._advance = AreaAdvance(SimulatorCalls(spec, self._engine, lambda: 0))
        table = self._engine.table
        borders = BorderState(0, born=len(table))
        births = Births(table.column("birth").tolist())
        self.states = [self._state(0, borders, born=births)]
        self.by_clock = {0: self.states[0]}
        self._digest = state_digest(table, borders)

    @property
    def newest(self) -> Committed:
        """The newest state."""
        return self.states[-1]

    def at(self, clock: int) -> Committed:
        """Returns the state after the last tick with at most this clock."""
        return self.states[bisect.bisect_right(self.states, clock, key=lambda state: state.clock) - 1]

    def commit(self, record: Tick) -> Committed:
        """Computes the tick of the next record, after a check of the digest of the state before it."""
        before = self.newest
        if record.tick != before.tick + 1:
            raise Violation(f"tick {record.tick} is committed after tick {before.tick}")
        if record.digest != self._digest:
            raise Violation(f"the record of tick {record.tick} has another digest of the state before it")
        table, commands = self._engine.table, record.commands
        inputs = inputs_of(record, table.schema)
        engine = self._engine
        borders = self._advance(table, before.borders, record.tick, commands=commands, inputs=inputs).borders
        state = self._state(
            record.tick, borders, born=engine.born, died=engine.died, applied=engine.applied, inputs=inputs
        )
        self.states.append(state)
        self.by_clock[state.clock] = state
        self._digest = state_digest(table, borders)
        return state

    def _state(
        self,
        tick: int,
        borders: BorderState,
        *,
        born: Births,
        died: Births = frozenset(),
        applied: Mapping[str, int] = {},
        inputs: BorderInputs = BorderInputs(),  # noqa: B008 - it does not change
    ) -> Committed:
        table = self._engine.table
        return Committed(
            tick,
            table.ids.copy(),
            *(table.column(name).copy() for name in ("birth", "value", "parent", "position")),
            bool(table.column("velocity").any()),
            borders,
            born,
            died,
            applied,
            inputs,
        )
