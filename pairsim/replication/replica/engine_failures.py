"""What the engine of a replica failed at, and when it is tried again.

A failure belongs to one tick. It outlives the engine that failed, and is forgotten when the tick succeeds here. A
replica at level `FAILED` tries its tick again after a second, then after two, four and so on: the causes of most
failures pass, or are mended.
"""

from __future__ import annotations

import msgspec

from pairsim.engine.port import EngineError, EngineLostError
from pairsim.model.status import SimulatorPhase, SimulatorState
from pairsim.replication.standing import FAILED, Standing, failed_level

FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS = 1.0, 60.0
"""The first and the longest pause before a tick is tried again at which this replica failed."""


class _FailedTick(msgspec.Struct, frozen=True):
    tick: int
    level: int
    attempts: int
    retry_at: float
    about: str


class EngineFailures:
    """The engine of one replica. The replica thread writes, any thread reads."""

    def __init__(self, area: str) -> None:
        """Starts with an engine that runs and has not failed."""
        self._area = area
        self._failure: _FailedTick | None = None
        self._ended: tuple[str, float] | None = None

    @property
    def running(self) -> bool:
        """Whether the engine runs."""
        return self._ended is None

    def on_failure(self, error: EngineError, tick: int, now: float, during: str) -> None:
        """Records that the engine failed at a tick; it does not run any more.

        Args:
            error: The failure.
            tick: The tick that it was to compute.
            now: The monotonic time in seconds.
            during: The call, such as "tick 812, with command 9f (push of entity 7)"; empty for an engine that ended
                between two calls, which is not a failure of a tick.
        """
        about = f"{error} in {during}" if during else str(error)
        self._ended = about, now
        if not during:
            return
        before = self._failure if self._failure is not None and self._failure.tick == tick else None
        level = failed_level(before.level if before else 0, ended=isinstance(error, EngineLostError))
        attempts = (before.attempts if before else 0) + 1
        pause = min(FIRST_RETRY_SECONDS * 2 ** min(attempts - 1, 10), MAX_RETRY_SECONDS)
        self._failure = _FailedTick(tick, level, attempts, now + (pause if level >= FAILED else 0.0), about)

    def on_start_failed(self, error: EngineError, now: float) -> None:
        """Records that another engine could not be started."""
        self._ended = f"its engine cannot be started again: {error}", now

    def on_started(self) -> None:
        """Records that the engine runs again."""
        self._ended = None

    def on_computed(self, tick: int) -> None:
        """Records that a tick was computed here."""
        if self._failure is not None and self._failure.tick <= tick:
            self._failure = None

    def may_compute(self, tick: int, now: float) -> bool:
        """Returns whether the tick may be computed now."""
        failure = self._failure
        return self.running and (failure is None or failure.tick != tick or now >= failure.retry_at)

    def standing(self, tick: int) -> Standing:
        """Returns what the other replica receives while the state is at `tick`."""
        failure = self._failure
        level = failure.level if failure is not None and failure.tick == tick + 1 else 0
        return Standing(level, self.running, tick if level >= FAILED or not self.running else 0)

    def state(self, tick: int, now: float) -> SimulatorState | None:
        """Returns what the status says while the state is at `tick`; None if nothing keeps it from the next tick."""
        failure, ended = self._failure, self._ended
        if failure is not None and failure.tick == tick + 1 and failure.level >= FAILED:
            return SimulatorState(self._area, SimulatorPhase.PAUSED, max(0.0, failure.retry_at - now), failure.about)
        if ended is not None:
            return SimulatorState(self._area, SimulatorPhase.RESTARTING, round(now - ended[1], 1), ended[0])
        return None
