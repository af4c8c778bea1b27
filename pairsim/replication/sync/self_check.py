"""The passive does a tick itself now and then, and compares: a step that is not deterministic is found in time.

Without it a slip would show in a takeover only, and not even there if a single tick is replayed: a record holds the
digest of the state before its tick.
"""

from __future__ import annotations

import structlog

from pairsim.model.area import AreaSpec
from pairsim.model.simulation.simulator import Simulator
from pairsim.model.simulation.tick import advance
from pairsim.model.state.table import Table
from pairsim.replication.log.records import Tick, decode_record
from pairsim.replication.log.tick_log import TickLog
from pairsim.replication.sync.codec import differences
from pairsim.replication.sync.state import State

log = structlog.get_logger()

EVERY = 200
"""Ticks from one audit to the next: it costs as much as the active's step, so many times less often."""

_NAMED = 5


class Audit:
    """Of one replica's state; replica thread."""

    def __init__(self, spec: AreaSpec, simulator: Simulator, ticks: TickLog, state: State) -> None:
        """The first tick that it sees is audited."""
        self._spec, self._simulator, self._log, self._state = spec, simulator, ticks, state
        self._due = 0
        self._before: Table | None = None

    def begin(self, base: int, tick: int) -> None:
        """The state goes from `base` to `tick` now. Call under its lock."""
        self._before = self._state.table.copy() if tick == base + 1 and tick >= self._due else None

    def end(self) -> None:
        """It has."""
        before, self._before = self._before, None
        state = self._state
        payload = self._log.payload(state.tick) if before is not None else None
        record = decode_record(payload) if payload is not None else None
        if before is None or not isinstance(record, Tick):
            return
        self._due = state.tick + EVERY
        try:
            advance(self._simulator, before, record.commands, record.tick, self._spec)
        except Exception as error:
            state.divergences += 1
            log.error("the step is not deterministic: it failed here", tick=record.tick, exc_info=error)  # noqa: TRY400
            return
        if before.digest() != state.digest(record.tick):
            state.divergences += 1
            log.error("the step is not deterministic: done again, the tick comes out otherwise", tick=record.tick)
            for component, entity in differences(before, state.table)[:_NAMED]:
                log.error("not the same", tick=record.tick, component=component, entity=entity)
