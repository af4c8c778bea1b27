"""The rehearsal: a few ticks of a small area, which an engine computes before it is ready.

It finds at the start what an area would otherwise stand still for at run time, or what would be found late:

- Nothing is slow, or fails, in the first tick after a takeover, since that is not the first tick ever.
- What `perceive` returns is converted, checked and passed to `step` as at run time. A command that does not fit is left
  out with a warning.
- Hidden state. Another instance populates the area, and computes the last tick from the same table and commands, as a
  replica does that takes over. It must come to the same bits.
- The table changes in the simulator's turn alone: not in `perceive`, and not by a thread when a call has returned. Such
  a change is an error, since no digest and no other replica has it. A thread that `populate` or `step` leaves running
  is a warning, since it may be an idle pool.

After an error the area is refused. The area is small, and what takes long is not repeated: with most simulators a
rehearsal takes a few milliseconds.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Sequence

import msgspec

from pairsim.engine.child.author_threads import AuthorThreads, describe_threads
from pairsim.engine.child.differences import first_difference
from pairsim.engine.child.simulator_code import SimulatorCode
from pairsim.engine.port import EngineRaisedError
from pairsim.model.area import AreaSpec
from pairsim.model.commands import Command
from pairsim.model.simulation.error_location import error_with_location, method_place, source_files
from pairsim.model.simulation.simulator import Simulator
from pairsim.model.state.table import Table

log = logging.getLogger(__name__)

_TICKS, _ENTITIES = 3, 64
_MAX_COMPARED_ROWS = 100_000
"""A simulator may create more entities than the rehearsal asks for."""

_MAX_REPEATED_SECONDS = 1.0
"""An instance and a tick that take longer together are not repeated."""

_WATCHED_SECONDS = 0.1
"""How long the table is watched for changes if the simulator has threads."""


class _RehearsedTick(msgspec.Struct, frozen=True):
    """A tick and its outcome; without its states if they are too large to be copied."""

    tick: int
    before: Table | None
    commands: Sequence[Command]
    rejected: frozenset[int]
    after: Table | None


def prepare_and_rehearse(kind: type[Simulator], spec: AreaSpec) -> Simulator:
    """Creates the simulator of an area, prepares it, and rehearses it; may take minutes while it compiles.

    Raises:
        EngineRaisedError: The replicas of the area would differ.
        BaseException: Whatever the author's code raised.
    """
    simulator = kind(spec)
    simulator.prepare()
    _Rehearsal(kind, spec).run()
    return simulator


class _Rehearsal:
    """The rehearsal of a simulator, with instances of its own."""

    def __init__(self, kind: type[Simulator], spec: AreaSpec) -> None:
        """Takes the simulator's class and the area that it is for."""
        self._kind, self._spec = kind, msgspec.structs.replace(spec, entities=min(spec.entities, _ENTITIES))
        self._threads = AuthorThreads()
        self._reported: set[str] = set()

    def run(self) -> None:
        """Computes and repeats ticks. Raises what `prepare_and_rehearse` raises."""
        began = time.monotonic()
        code, table = self._populated()
        seconds = time.monotonic() - began
        initial = after = _copy(table)
        for tick in range(1, 1 + _TICKS):
            began = time.monotonic()
            rehearsed = self._tick(code, table, after, tick)
            after = rehearsed.after
        if seconds + time.monotonic() - began <= _MAX_REPEATED_SECONDS:
            self._repeat(initial, rehearsed)
        threads = self._threads.wait(_WATCHED_SECONDS)
        changed = _difference(table, after)
        if changed:
            where = describe_threads(threads, source_files(self._kind))
            raise self._error(
                f"changed the table in threads ({where}) after step and left {changed};"
                " let step wait for its threads, and let no other thread write"
            )

    def _populated(self) -> tuple[SimulatorCode, Table]:
        """Returns another instance with the state of tick 0."""
        simulator = self._kind(self._spec)
        simulator.prepare()
        code = SimulatorCode(simulator, self._spec)
        table = Table(code.components)
        self._threads.new()
        code.populate(table)
        self._report_threads("populate", 0)
        return code, table

    def _tick(self, code: SimulatorCode, table: Table, before: Table | None, tick: int) -> _RehearsedTick:
        commands = code.perceive_checked(table, tick)
        changed = _difference(table, before)
        if changed:
            place = method_place(self._kind, "perceive")
            raise self._error(
                f"changed the table in perceive at {place}, or in a thread, and left {changed}; return commands"
                " for changes"
            )
        self._threads.new()
        rejected = code.advance(table, commands, tick)
        self._report_threads("step", tick)
        return _RehearsedTick(tick, before, commands, frozenset(rejected), _copy(table))

    def _repeat(self, initial: Table | None, rehearsed: _RehearsedTick) -> None:
        """Lets another instance compute the same; it has not computed the ticks before."""
        if initial is None or rehearsed.before is None:
            return
        code, table = self._populated()
        changed = _difference(table, initial)
        if changed:
            place = method_place(self._kind, "populate")
            raise self._error(
                f"is not deterministic: another instance populated the area with {changed}; populate at {place} may"
                " use the area and rng alone"
            )
        table.assign(rehearsed.before.ids, rehearsed.before.columns())
        with self._naming_repetition(rehearsed.tick):
            rejected = code.advance(table, rehearsed.commands, rehearsed.tick)
        changed = _difference(table, rehearsed.after)
        if not changed and rejected.keys() != rehearsed.rejected:
            changed = "other rejected commands"
        if changed:
            raise self._differs(rehearsed.tick, f"ended with {changed}")

    @contextlib.contextmanager
    def _naming_repetition(self, tick: int) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            where = error_with_location(error, source_files(self._kind))
            raise self._differs(tick, f"raised {where}") from error

    def _differs(self, tick: int, what: str) -> EngineRaisedError:
        place = method_place(self._kind, "step")
        return self._error(
            f"is not deterministic: another instance repeated tick {tick} from the same table and commands and {what};"
            f" step at {place} may use its arguments alone, and has to keep in columns what it remembers"
        )

    def _error(self, phrase: str) -> EngineRaisedError:
        return EngineRaisedError(f"the simulator {self._spec.simulator} {phrase}")

    def _report_threads(self, call: str, tick: int) -> None:
        """Logs threads that a call has left running; of each kind of call once."""
        left = self._threads.new()
        if not left or call in self._reported:
            return
        self._reported.add(call)
        log.warning(
            "in tick %d %s of the simulator %s (%s) left threads running that must not touch the table then: %s; start"
            " threads in prepare",
            tick, call, self._spec.simulator, method_place(self._kind, call),
            describe_threads(left, source_files(self._kind)),
        )  # fmt: skip


def _copy(table: Table) -> Table | None:
    return table.copy() if len(table) <= _MAX_COMPARED_ROWS else None


def _difference(table: Table, expected: Table | None) -> str:
    """Returns what the table has in place of the expected state; empty if it has the same, or if that is unknown."""
    return "" if expected is None else first_difference(table, expected)
