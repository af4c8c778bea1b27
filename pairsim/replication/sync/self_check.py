"""The determinism check of a passive: it now and then executes a tick itself and compares the result.

A record holds the digest of the state before its tick. Without this check, a step that is not deterministic would show
only in the replay of a takeover, and if a single tick is replayed, not even there.
"""

from __future__ import annotations

import structlog

from pairsim.model.state.table import Table
from pairsim.replication.log.records import Tick, decode_record
from pairsim.replication.log.tick_log import TickLog
from pairsim.replication.sync.codec import find_differences
from pairsim.replication.sync.simulator_calls import SimulatorCalls
from pairsim.replication.sync.state import ReplicaState

log = structlog.get_logger()

INTERVAL_TICKS = 200
"""Ticks from one check to the next. A check costs as much as a step of the active, so it has to be rare."""

_DIFFERENCES_LOGGED = 5


class SelfCheck:
    """Checks the deltas of one replica's state. Replica thread only.

    Only a delta over a single tick can be checked, and only while the log still holds the tick's record.
    """

    def __init__(self, calls: SimulatorCalls, ticks: TickLog, state: ReplicaState) -> None:
        """Checks the first tick that is applied, then one tick in `INTERVAL_TICKS`."""
        self._calls, self._log, self._state = calls, ticks, state
        self._due = 0
        self._before: Table | None = None

    def begin(self, base: int, tick: int) -> None:
        """Copies the state if the move from `base` to `tick` is to be checked. Call it under the state's lock."""
        self._before = self._state.table.copy() if tick == base + 1 and tick >= self._due else None

    def end(self) -> None:
        """Compares the re-executed tick with the applied delta. Call it after the state has moved."""
        before, self._before = self._before, None
        state = self._state
        payload = self._log.payload(state.tick) if before is not None else None
        record = decode_record(payload) if payload is not None else None
        if before is None or not isinstance(record, Tick):
            return
        self._due = state.tick + INTERVAL_TICKS
        try:
            self._calls.advance(before, record.commands, record.tick)
        except (Exception, SystemExit) as error:
            self._calls.forget()
            state.divergences += 1
            log.error("step is not deterministic: it failed only here", tick=record.tick, exc_info=error)  # noqa: TRY400
            return
        if before.digest() != state.digest(record.tick):
            state.divergences += 1
            log.error("step is not deterministic: its repetition gave another state", tick=record.tick)
            for component, entity in find_differences(before, state.table)[:_DIFFERENCES_LOGGED]:
                log.error("component differs", tick=record.tick, component=component, entity=entity)
