"""The determinism check of a passive: it now and then executes a tick itself and compares the result.

A record holds the digest of the state before its tick. Without this check, a step that is not deterministic would show
only in the replay of a takeover, and if a single tick is replayed, not even there.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from pairsim.engine.port import EngineRaisedError
from pairsim.model.state.table import Table
from pairsim.replication.log.records import Tick, decode_record
from pairsim.replication.log.tick_log import TickLog
from pairsim.replication.sync.area_tick import AreaAdvance
from pairsim.replication.sync.codec import find_differences
from pairsim.replication.sync.simulator_calls import SimulatorCalls
from pairsim.replication.sync.state import ReplicaState, state_digest

log = structlog.get_logger()

INTERVAL_TICKS = 200
"""Ticks from one check to the next. A check costs as much as a step of the active, so it has to be rare."""

_DIFFERENCES_LOGGED = 5


class SelfCheck:
    """Checks the deltas of one replica's state. Replica thread only.

    Only a delta over a single tick can be checked, while the log still holds the tick's record, and by an engine with
    the code with which the tick was computed.
    """

    def __init__(
        self,
        calls: SimulatorCalls,
        advance: AreaAdvance,
        table: Table | None,
        ticks: TickLog,
        state: ReplicaState,
        has_other_code: Callable[[], bool] = lambda: False,
    ) -> None:
        """Checks the first tick that is applied, then one tick in `INTERVAL_TICKS`, in the engine's second table."""
        self._has_other_code = has_other_code
        self._calls, self._advance, self._table, self._log, self._state = calls, advance, table, ticks, state
        self._due = 0
        self._begun = False
        self._borders = state.borders

    def use(self, table: Table | None) -> None:
        """Repeats ticks in the second table of another engine from now on; None while no engine runs."""
        self._table, self._begun = table, False

    def begin(self, base: int, tick: int) -> None:
        """Copies the state if the move from `base` to `tick` is to be checked. Call it under the state's lock."""
        self._begun = tick == base + 1 and tick >= self._due
        if self._begun and self._table is not None:
            self._table.assign(self._state.table.ids, self._state.table.columns())
            self._borders = self._state.borders

    def end(self) -> None:
        """Compares the re-executed tick with the applied delta. Call it after the state has moved."""
        begun, self._begun = self._begun, False
        state, repeated = self._state, self._table
        payload = self._log.payload(state.tick) if begun else None
        record = decode_record(payload) if payload is not None else None
        if repeated is None or not isinstance(record, Tick):
            return
        if self._has_other_code() or record.tick <= self._log.orders.floor:
            return
        self._due = state.tick + INTERVAL_TICKS
        try:
            left_out = self._log.orders.left_out(record.tick)
            borders, _refused = self._advance.repeat(repeated, self._borders, record, left_out)
        except EngineRaisedError as error:
            self._calls.forget()
            state.divergences += 1
            log.error(  # noqa: TRY400 - the traceback is that of the author's code
                "step is not deterministic: it failed only here",
                tick=record.tick, error=error.sentence, exception=error.traceback.rstrip(),
            )  # fmt: skip
            return
        if state_digest(repeated, borders) != state.digest(record.tick):
            state.divergences += 1
            log.error("step is not deterministic: its repetition gave another state", tick=record.tick)
            for component, entity in find_differences(repeated, state.table)[:_DIFFERENCES_LOGGED]:
                log.error("component differs", tick=record.tick, component=component, entity=entity)
