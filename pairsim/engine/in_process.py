"""An engine without a process of its own: the simulator runs in the calling thread, on ordinary tables."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence

from pairsim.engine.child.loaded_code import LoadedCode
from pairsim.engine.child.raised import raised_error
from pairsim.engine.child.rehearsal import prepare_and_rehearse
from pairsim.engine.child.simulator_code import SimulatorCode
from pairsim.model.area import AreaSpec
from pairsim.model.commands import Command
from pairsim.model.simulation.simulator import Simulator, load_simulator
from pairsim.model.state.table import Table


class InProcessEngine:
    """The simulator of an area, called directly. It raises and converts as an engine with a process does.

    Attributes:
        components: The simulator's components.
        operations: The simulator's own operations.
        table: The state of the area.
        check_table: A second table of the same schema.
        code: The fingerprint of the simulator's code.
        pid: None.
    """

    pid: int | None = None

    def __init__(self, simulator: Simulator, spec: AreaSpec) -> None:
        """Takes a simulator that has been prepared. Raises EngineRaisedError if it does not fit."""
        self._spec, self._kind = spec, type(simulator)
        with _as_engine_error(spec, self._kind):
            self._code = SimulatorCode(simulator, spec)
        self.components, self.operations = self._code.components, self._code.operations
        self.code = _fingerprint(self._kind)
        self.table, self.check_table = Table(self.components), Table(self.components)

    def populate(self) -> None:
        """Fills `table` with the entities of tick 0."""
        with _as_engine_error(self._spec, self._kind):
            self._code.populate(self.table)

    def advance(self, table: Table, commands: Sequence[Command], tick: int) -> dict[int, str]:
        """Advances a table from tick - 1 to `tick`; returns the reasons of rejected commands by place."""
        with _as_engine_error(self._spec, self._kind):
            return self._code.advance(table, commands, tick)

    def perceive(self, tick: int) -> list[Command]:
        """Returns the commands for a tick that the simulator perceives."""
        with _as_engine_error(self._spec, self._kind):
            return self._code.perceive(self.table, tick)

    def close(self) -> None:
        """Does nothing, since the simulator has no process of its own."""


def load_in_process(spec: AreaSpec) -> InProcessEngine:
    """Finds, prepares and rehearses the simulator of an area, as an engine with a process does at its start.

    Raises:
        EngineRaisedError: The simulator cannot be found, or it raised.
    """
    with _as_engine_error(spec):
        kind = load_simulator(spec.simulator)
    with _as_engine_error(spec, kind):
        simulator = prepare_and_rehearse(kind, spec)
    return InProcessEngine(simulator, spec)


@functools.cache
def _fingerprint(kind: type) -> str:
    """Returns the fingerprint of a class whose files do not change: this process has loaded them."""
    return LoadedCode(kind).fingerprint()


@contextlib.contextmanager
def _as_engine_error(spec: AreaSpec, kind: type | None = None) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # also `SystemExit` and `asyncio.CancelledError`
        raise raised_error(error, spec, kind) from error
