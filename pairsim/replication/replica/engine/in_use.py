"""The engine that a replica uses: its end, its failures, and the engine that takes its place.

An engine that failed for good at a tick is replaced just before the tick is tried again, so that the new one has the
newest code; any other engine is replaced at once, or after the takeover of the other replica (`TakeoverPause`).

For an order to renew the engine of an area that runs, a *fresh* engine is started beside the one in use. It takes its
place between two ticks, when the record of the order is in force, so that the area waits for no start. The replica
thread calls the methods, except those for any thread.
"""

from __future__ import annotations

import structlog

from pairsim.engine.port import Engine, EngineError, EngineLostError
from pairsim.model.command_schema import CommandSchema
from pairsim.replication.clock import monotonic
from pairsim.replication.log.tick_log import TickLog
from pairsim.replication.replica.engine.absent import AbsentEngine
from pairsim.replication.replica.engine.failures import EngineFailures
from pairsim.replication.replica.engine.takeover_pause import TakeoverPause
from pairsim.replication.replica.ports import ReplicaListener
from pairsim.replication.sync.self_check import SelfCheck
from pairsim.replication.sync.simulator_calls import SimulatorCalls
from pairsim.replication.sync.state import ReplicaState

log = structlog.get_logger()

RESTORE_SECONDS = 0.005
"""How long an active that hands over waits before it restores its state, unless it loses its leadership before. A copy
of a large state takes milliseconds, and the handover must not wait for it."""


class EngineInUse:
    """The engine of one replica.

    Attributes:
        current: The newest engine; an absent one until the first could be started.
        command_schema: Which commands are valid; another one if an engine takes the place of an absent one that knew
            others.
        failed: Whether it has failed and the state before the failure is not restored yet.
        renewal: The number of the order for which a fresh engine was started last; 0 before the first.
        fresh: That engine, while it waits to be used.
        fresh_error: Why it could not be started.
    """

    def __init__(
        self,
        area: str,
        engine: Engine,
        *,
        state: ReplicaState,
        calls: SimulatorCalls,
        self_check: SelfCheck,
        failures: EngineFailures,
        listener: ReplicaListener,
        ticks: TickLog,
    ) -> None:
        """Takes an engine that runs, or an absent one that another one will take the place of, and what depends on it.

        The driver starts an engine in place of an absent one by itself.
        """
        self.current = engine
        self.command_schema = CommandSchema(engine.components, engine.operations)
        self._area, self._state, self._calls, self._self_check = area, state, calls, self_check
        self._failures, self._listener = failures, listener
        self._takeover = TakeoverPause(ticks)
        self._offered: Engine | None = None
        self._offered_fresh: Engine | EngineError | None = None
        self._end = ""
        self.failed = self._waits = self._starts = self._starts_fresh = self._superseded = False
        self._renewed: str | None = None
        self.renewal = 0
        self.fresh: Engine | None = None
        self.fresh_error: EngineError | None = None
        if isinstance(engine, AbsentEngine):
            self._starts = True
            self_check.use(None)
            failures.on_start_failed(engine.error, monotonic())

    # --- any thread

    def offer(self, engine: Engine) -> None:
        """Hands over an engine in place of the one that failed."""
        self._offered = engine
        self._listener.wake()

    def offer_fresh(self, engine: Engine | EngineError) -> None:
        """Hands over an engine beside the one in use, or the reason why none could be started."""
        self._offered_fresh = engine
        self._listener.wake()

    def on_end(self, reason: str) -> None:
        """Records that the engine has ended."""
        self._end = reason
        self._listener.wake()

    def renew(self, code: str) -> None:
        """Requests an engine with the code that an order has put into force: the fresh one, or another one."""
        self._renewed = code
        self._listener.wake()

    # --- replica thread

    def start_if_due(self, tick: int, revision: int, now: float) -> None:
        """Starts the engine that was to wait until the tick is tried again, and one with the newest code."""
        code, self._renewed = self._renewed, None
        if code is not None:
            self._renew(code, now)
        if self._waits and self._failures.is_due(tick, revision, now) and self._takeover.is_over(now):
            self._start()

    def _renew(self, code: str, now: float) -> None:
        fresh, self.fresh = self.fresh, None
        if fresh is not None and fresh.code == code:
            old, self._superseded = self.current, self._starts
            self._use(fresh)
            self._listener.on_engine_replaced(old, fresh)
            return
        nothing_new = fresh is not None and fresh.code == self._failures.code
        if self._failures.code not in {"", code} and not nothing_new:
            self.restart(now, "was ended, since other code is in force")
        self._discard(fresh)

    def prepare(self, renewal: int) -> None:
        """Starts a fresh engine for the order with this number, unless another one starts."""
        if renewal != self.renewal and not self._starts_fresh:
            self.drop_fresh()
            self.renewal, self._starts_fresh = renewal, True
            self._listener.on_engine_wanted()

    def drop_fresh(self) -> None:
        """Ends the fresh engine, if there is one."""
        fresh, self.fresh, self.fresh_error = self.fresh, None, None
        self._discard(fresh)

    def _discard(self, engine: Engine | None) -> None:
        if engine is not None:
            self._listener.on_engine_unused(engine)

    def restart(self, now: float, reason: str) -> None:
        """Replaces the engine at once, unless another one starts already; `reason` is a phrase about the engine."""
        if self._failures.running:
            self._self_check.use(None)
            self._state.leave_engine()
            self._failures.on_failure(EngineLostError(reason), 0, now, "", 0)
            self._listener.on_publish(None)
        if not self._starts:
            self._start()

    def _start(self) -> None:
        self._waits, self._starts, self._end = False, True, ""
        self._listener.on_engine_failed()

    def check(self) -> None:
        """Raises EngineLostError if the engine has ended between two calls."""
        if self._end and self._failures.running:
            raise EngineLostError(self._end)

    def use_offered(self) -> None:
        """Uses the engine that was offered in place of one that failed, and keeps a fresh one, if any."""
        offered, self._offered_fresh = self._offered_fresh, None
        if offered is not None:
            self._starts_fresh = False
            self.fresh, self.fresh_error = (None, offered) if isinstance(offered, EngineError) else (offered, None)
        engine, self._offered = self._offered, None
        if engine is None:
            return
        self._starts, superseded, self._superseded = False, self._superseded, False
        if superseded:  # by a fresh one
            self._discard(engine)
        else:
            self._use(engine)

    def _use(self, engine: Engine) -> None:
        self._state.move_to(engine.table)
        if (engine.components, engine.operations) != (self.current.components, self.current.operations):
            self.command_schema = CommandSchema(engine.components, engine.operations)
        self.current, self._end = engine, ""
        self._calls.use(engine)
        self._self_check.use(engine.check_table)
        self._waits = False
        self._failures.on_started(engine.code)
        log.info("the engine runs again", area=self._area, tick=self._state.tick)
        self._listener.on_publish(None)

    def on_error(self, error: EngineError, now: float, *, revision: int) -> None:
        """Records a failure. The turn ends with `restore_later`, and the next one begins with `restore_if_failed`.

        Args:
            error: The failure.
            now: The monotonic time in seconds.
            revision: The number of orders in the log, for an engine that ended between two calls.
        """
        call = self._calls.current
        self._calls.forget()
        self._self_check.use(None)
        tick = self._state.tick + 1 if call is None else call.tick
        during = call.phrase if call is not None else ""
        commands = [command.id for command in call.commands] if call is not None else []
        self._failures.on_failure(error, tick, now, during, revision if call is None else call.revision, commands)
        self.failed = True
        self._takeover.begin(now)
        log.error(
            "the engine failed", area=self._area, tick=tick, error=str(error), during=during,
            exception=error.traceback.rstrip() or None,
        )  # fmt: skip
        self._listener.on_publish(None)

    def restore_later(self, now: float, revision: int, *, active: bool, handing: bool) -> float | None:
        """Puts off what a failure leaves to do, or does it at once unless the other replica is to take over.

        Args:
            now: The monotonic time in seconds.
            revision: The number of orders in the log.
            active: As for `restore_if_failed`.
            handing: Whether the other replica is to take over.

        Returns:
            When the next turn has to begin; None if nothing was put off.
        """
        if not self.failed:
            return None
        if handing:
            return now + RESTORE_SECONDS
        self._takeover.end()
        self.restore_if_failed(active=active)
        self.start_if_due(self._state.tick + 1, revision, now)
        return None

    def restore_if_failed(self, *, active: bool) -> None:
        """Restores the state before the tick that failed, if that was put off, and wants another engine from then on.

        `active` says whether the replica is active. Only an active goes on from snapshots; those of a replay are
        dropped.
        """
        if not self.failed:
            return
        self._state.leave_engine()
        if not active:
            self._state.drop_snapshots()
        self._end, self._waits, self.failed = "", True, False
