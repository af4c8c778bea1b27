"""The calls of a simulator's code in the replica thread: which one is under way, since when, and with which commands.

A step that never returns keeps its replica from working, while its Raft thread goes on as if nothing had happened. So
the Raft thread observes the calls, and a call that takes too long is logged and becomes a part of the status. When a
call raises, it stays the current one, so that the report of the error can name its tick and its commands.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Container, Iterator, Sequence

import msgspec
import structlog

from pairsim.engine.port import Engine
from pairsim.model.area import AreaSpec
from pairsim.model.commands import Command
from pairsim.model.state.table import Table
from pairsim.model.status import SimulatorPhase, SimulatorState
from pairsim.replication.clock import monotonic

log = structlog.get_logger()

STUCK_AFTER_SECONDS = 2.0
"""Seconds after which a call counts as stuck."""

_STUCK_FACTOR = 3.0
"""A call also has to take this many times as long as the one before: a large area may need seconds for each tick."""

_MAX_TURN_SECONDS = 0.5
"""The most that counts of the time between two observations: while the whole process stood still, no call was stuck."""

_MAX_COMMANDS_SHOWN = 3

SKIPPED = "skipped"
"""The reason of the rejection of a command that an operator left out."""


class SimulatorCall(msgspec.Struct, frozen=True):
    """A call of a simulator's code.

    Attributes:
        method: `step` or `perceive`.
        tick: The tick that it computes.
        commands: The commands of the tick; none for `perceive`.
        began: When it began, in monotonic seconds.
        revision: The number of orders in the log at that time.
    """

    method: str
    tick: int
    commands: Sequence[Command]
    began: float
    revision: int = 0

    @property
    def phrase(self) -> str:
        """The call in words, such as "tick 812, with command 9f (push of entity 7)"."""
        if self.method != "step":
            return f"tick {self.tick}, in {self.method}"
        return f"tick {self.tick}, {commands_phrase(self.commands)}"


def commands_phrase(commands: Sequence[Command]) -> str:
    """Returns the first commands of a tick in words, and how many more there are."""
    shown = [f"{command.id} ({command.op} of entity {command.entity})" for command in commands[:_MAX_COMMANDS_SHOWN]]
    if not shown:
        return "without commands"
    more = f" and {len(commands) - len(shown)} more" if len(commands) > len(shown) else ""
    return f"with command{'s' if len(commands) > 1 else ''} {', '.join(shown)}{more}"


class SimulatorCalls:
    """The calls for one area. The replica thread makes them, the Raft thread observes them, any thread reads.

    Attributes:
        current: The call that is under way, or the one that raised; None between calls.
    """

    def __init__(self, spec: AreaSpec, engine: Engine, revision: Callable[[], int] = lambda: 0) -> None:
        """Starts without a call; `revision` returns the number of orders about engines in the log."""
        self._revision = revision
        self.current: SimulatorCall | None = None
        self._spec, self._engine = spec, engine
        self._last_seconds = 0.0
        self._observed: SimulatorCall | None = None
        self._observed_at = self._observed_seconds = 0.0
        self._stuck: SimulatorCall | None = None

    # --- replica thread

    def advance(
        self, table: Table, commands: Sequence[Command], tick: int, left_out: Container[str] = ()
    ) -> dict[int, str]:
        """Advances a table of the engine from tick - 1 to `tick`.

        Args:
            table: The table.
            commands: The commands of the tick.
            tick: The tick.
            left_out: The ids of commands that are rejected without a call of the simulator.

        Returns:
            The reasons of rejected commands, by place in `commands`.
        """
        places = [place for place, command in enumerate(commands) if command.id not in left_out]
        applied = commands if len(places) == len(commands) else [commands[place] for place in places]
        with self._under_way("step", tick, applied):
            rejected = self._engine.advance(table, applied, tick)
        if applied is commands:
            return rejected
        skipped = dict.fromkeys(set(range(len(commands))).difference(places), SKIPPED)
        return dict(sorted({**skipped, **{places[place]: reason for place, reason in rejected.items()}}.items()))

    def perceive(self, tick: int) -> list[Command]:
        """Returns the commands for `tick` that the simulator perceives."""
        with self._under_way("perceive", tick):
            return self._engine.perceive(tick)

    def use(self, engine: Engine) -> None:
        """Calls another engine from now on."""
        self.current, self._engine = None, engine

    def forget(self) -> None:
        """Forgets a call that failed, when its replica works on: it did not return."""
        self.current = self._stuck = None

    @contextlib.contextmanager
    def _under_way(self, method: str, tick: int, commands: Sequence[Command] = ()) -> Iterator[None]:
        """Marks a call of the simulator's code as under way; it stays marked if the body raises."""
        call = self.current = SimulatorCall(method, tick, commands, monotonic(), self._revision())
        yield
        self._last_seconds = monotonic() - call.began
        self.current = None

    # --- Raft thread

    def observe(self, now: float) -> bool:
        """Returns whether the current call is stuck, and logs when a call begins or ceases to be stuck."""
        call = self.current
        if call is None or call is not self._observed:
            self._observed, self._observed_seconds = call, 0.0
        else:
            self._observed_seconds += min(now - self._observed_at, _MAX_TURN_SECONDS)
        self._observed_at = now
        stuck = self._observed_seconds >= max(STUCK_AFTER_SECONDS, _STUCK_FACTOR * self._last_seconds)
        before, self._stuck = self._stuck, call if stuck else None
        if call is not None and self._stuck is not before and stuck:
            log.error(
                "the simulator does not return from a call",
                method=call.method, tick=call.tick, commands=commands_phrase(call.commands),
                seconds=round(now - call.began, 1),
            )  # fmt: skip
        elif before is not None and not stuck:
            log.warning("the simulator returned from the call", method=before.method, tick=before.tick)
        return stuck

    # --- any thread

    def state(self, now: float) -> SimulatorState | None:
        """Returns what the status says about a stuck call; None while the simulator works."""
        call = self._stuck
        if call is None or call is not self.current:
            return None
        return SimulatorState(self._spec.area, SimulatorPhase.STUCK, round(now - call.began, 1), call.phrase)
