"""What the engine of a replica failed at, and when it is tried again.

A failure belongs to one attempt: a tick, after so many orders about engines in the log. It outlives the engine that
failed, and is forgotten when the tick succeeds here, and after the next order. A replica at level `FAILED` tries its
tick again after a second, then after two, four and so on: the causes of most failures pass, or are mended.

An engine whose code is not the one in force computes nothing, whenever it was started: another replica, or a replay,
would come to other bits. Its replica votes and follows. Only an order puts other code into force.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from pairsim.engine.port import EngineError, EngineLostError
from pairsim.model.status import SimulatorPhase, SimulatorState
from pairsim.replication.standing import FAILED, OTHER_CODE, Standing, failed_level

FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS = 1.0, 60.0
"""The first and the longest pause before a tick is tried again at which this replica failed."""


class _FailedTick(msgspec.Struct, frozen=True):
    tick: int
    revision: int
    level: int
    attempts: int
    retry_at: float
    about: str
    commands: tuple[str, ...]


class EngineFailures:
    """The engine of one replica. The replica thread writes, any thread reads.

    Attributes:
        start_error: Why the newest engine could not be started; None if it could.
    """

    def __init__(self, area: str, code: str = "", code_in_force: Callable[[], str] = lambda: "") -> None:
        """Starts with an engine of this code, which runs and has not failed; empty codes are unknown."""
        self._area, self._code, self._code_in_force = area, code, code_in_force
        self._failure: _FailedTick | None = None
        self._ended: tuple[str, float] | None = None
        self.start_error: EngineError | None = None
        self._held, self._obstacle = False, ""

    @property
    def running(self) -> bool:
        """Whether the engine runs."""
        return self._ended is None

    @property
    def code(self) -> str:
        """The fingerprint of the code of the engine that runs; empty while none runs, or if it is unknown."""
        return self._code if self.running else ""

    @property
    def has_other_code(self) -> bool:
        """Whether the engine that runs has other code than the one in force."""
        code, in_force = self.code, self._code_in_force()
        return bool(code and in_force) and code != in_force

    def on_failure(
        self,
        error: EngineError,
        tick: int,
        now: float,
        during: str,
        revision: int,
        commands: Iterable[str] = (),
    ) -> None:
        """Records that the engine failed at a tick; it does not run any more.

        Args:
            error: The failure.
            tick: The tick that it was to compute.
            now: The monotonic time in seconds.
            during: The call, such as "tick 812, with command 9f (push of entity 7)"; empty for an engine that ended
                between two calls, which is not a failure of a tick.
            revision: The number of orders in the log when the call began.
            commands: The ids of the commands of the call.
        """
        about = f"{error} in {during}" if during else str(error)
        self._ended = about, now
        if not during:
            return
        before = self._of(tick, revision)
        level = failed_level(before.level if before else 0, ended=isinstance(error, EngineLostError))
        attempts = (before.attempts if before else 0) + 1
        pause = min(FIRST_RETRY_SECONDS * 2 ** min(attempts - 1, 10), MAX_RETRY_SECONDS)
        retry_at = now + (pause if level >= FAILED else 0.0)
        self._failure = _FailedTick(tick, revision, level, attempts, retry_at, about, tuple(commands))

    def on_start_failed(self, error: EngineError, now: float) -> None:
        """Records that another engine could not be started."""
        self._ended = str(error), now
        self.start_error = error

    def forget_start_error(self) -> None:
        """Forgets why an engine could not be started, since another one starts."""
        self.start_error = None

    def hold(self, held: bool, obstacle: str) -> None:
        """Lets nothing be computed while an order about the next tick is under way, or its code is an obstacle."""
        self._held, self._obstacle = held, obstacle

    def on_started(self, code: str = "") -> None:
        """Records that an engine with this code runs."""
        self._code = code
        self._ended = self.start_error = None

    def on_computed(self, tick: int) -> None:
        """Records that a tick was computed here."""
        if self._failure is not None and self._failure.tick <= tick:
            self._failure = None

    def level(self, tick: int, revision: int) -> int:
        """Returns how bad the chance of the attempt is; without an engine that can be used, none has a chance."""
        return OTHER_CODE if self.has_other_code else self.failed_level(tick, revision)

    def failed_level(self, tick: int, revision: int) -> int:
        """Returns how badly the attempt failed here, or the start of the engine."""
        if self.start_error is not None:
            return FAILED
        failure = self._of(tick, revision)
        return failure.level if failure is not None else 0

    def is_due(self, tick: int, revision: int, now: float) -> bool:
        """Returns whether the tick may be tried as far as its failures are concerned."""
        failure = self._of(tick, revision)
        return failure is None or now >= failure.retry_at

    def may_compute(self, tick: int, revision: int, now: float) -> bool:
        """Returns whether the tick may be computed now."""
        ready = self.running and not self._held and not self.has_other_code
        return ready and self.is_due(tick, revision, now)

    def standing(self, tick: int, revision: int) -> Standing:
        """Returns what the other replica receives while the state is at `tick`."""
        level = self.level(tick + 1, revision)
        compared = tick if level >= FAILED or not self.running else 0
        return Standing(level, self.running, compared, revision, code=self.code)

    def state(self, tick: int, revision: int, now: float) -> SimulatorState | None:
        """Returns what the status says while the state is at `tick`; None if nothing keeps it from the next tick."""
        failure, ended = self._of(tick + 1, revision), self._ended
        if failure is not None and failure.level >= FAILED:
            start_error = f"its engine cannot be started: {self.start_error}" if self.start_error is not None else ""
            about = "; ".join(filter(None, (failure.about, self._obstacle, start_error)))
            only = failure.commands[0] if len(failure.commands) == 1 else ""
            return SimulatorState(
                self._area,
                SimulatorPhase.PAUSED,
                max(0.0, failure.retry_at - now),
                about,
                tick=failure.tick,
                commands=len(failure.commands),
                command=only,
            )
        if ended is not None:
            seconds, start_failed = round(now - ended[1], 1), self.start_error is not None
            return SimulatorState(self._area, SimulatorPhase.RESTARTING, seconds, ended[0], start_failed)
        return SimulatorState(self._area, SimulatorPhase.OTHER_CODE, 0.0) if self.has_other_code else None

    def _of(self, tick: int, revision: int) -> _FailedTick | None:
        failure = self._failure
        return failure if failure is not None and (failure.tick, failure.revision) == (tick, revision) else None
