"""Engines that fail: a simulator that raises, hangs, or ends its process, before or in the middle of a tick."""

from __future__ import annotations

import enum
import zlib
from collections.abc import Callable, Sequence

from pairsim.engine.in_process import InProcessEngine
from pairsim.engine.port import EngineError, EngineHungError, EngineLostError, EngineRaisedError
from pairsim.model.area import AreaSpec
from pairsim.model.commands import Command
from pairsim.model.simulation.simulator import Simulator
from pairsim.model.state.table import Table
from tests.simulation.area import SPEC, Counters

MENDED = "mended"
"""The fingerprint of the code that works for every command."""

UPDATED = "updated"
"""The fingerprint of the code that comes with an update."""

START_SECONDS = 0.4
"""How long an engine takes to start."""


class EngineFault(enum.Enum):
    """What an engine does in place of an answer."""

    RAISE = enum.auto()
    HANG = enum.auto()
    END = enum.auto()


class EngineFaults:
    """The faults of the engines of one process.

    Attributes:
        next: Faults of the next calls, in their order.
        always: The fault of all calls; None for none.
        poison: The ids of the commands at which every engine of the world raises, unless it has the mended code.
        codes_differ: Whether other code computes another state.
        struck: How many calls failed.
        unstartable: Whether no engine can be started.
    """

    def __init__(self, poison: set[str], code: Callable[[], str] = lambda: "") -> None:
        """Takes the poison, and a function that returns the code which an engine loads at its start."""
        self.poison, self.code = poison, code
        self.next: list[EngineFault] = []
        self.always: EngineFault | None = None
        self.codes_differ = self.unstartable = False
        self.struck = 0

    def take(self) -> EngineFault | None:
        """Returns the fault of a call."""
        fault = self.always or (self.next.pop(0) if self.next else None)
        self.struck += fault is not None
        return fault


class FaultyEngine(InProcessEngine):
    """An engine in the process of the simulation; a call that fails leaves its table torn."""

    def __init__(self, faults: EngineFaults, simulator: type[Simulator] = Counters, spec: AreaSpec = SPEC) -> None:
        """Takes the faults of its process, and a simulator whose entities have a component `value`."""
        if faults.unstartable:
            raise EngineRaisedError("the simulator raised SyntaxError: half an edit")
        super().__init__(simulator(spec), spec)
        self._faults, self._ended = faults, False
        self.code = faults.code()

    def advance(self, table: Table, commands: Sequence[Command], tick: int) -> dict[int, str]:
        fault = self._take()
        if self.code != MENDED and any(command.id in self._faults.poison for command in commands):
            self._faults.struck += fault is None
            fault = EngineFault.RAISE
        if table is self.check_table and fault is EngineFault.RAISE:
            fault = EngineFault.END  # a repeated tick that raises counts as a divergence, and rightly
        rejected = super().advance(table, commands, tick)
        if self._faults.codes_differ:
            table.column("value")[:] += zlib.crc32(self.code.encode()) % 1000
        if fault is not None:
            table.column("value")[: len(table) // 2] = -1
            table.despawn(table.ids[:1].copy())
            raise self._error(fault)
        return rejected

    def perceive(self, tick: int) -> list[Command]:
        fault = self._take() if self._faults.always is None else None
        if fault is not None:
            raise self._error(fault)
        return super().perceive(tick)

    def close(self) -> None:
        self._ended = True

    def _take(self) -> EngineFault | None:
        if self._ended:
            raise EngineLostError("is used after its end")
        return self._faults.take()

    def _error(self, fault: EngineFault) -> EngineError:
        self._ended = fault is not EngineFault.RAISE
        match fault:
            case EngineFault.RAISE:
                return EngineRaisedError("the simulator raised ValueError: no")
            case EngineFault.HANG:
                return EngineHungError(2.0, "in step")
            case EngineFault.END:
                return EngineLostError("was ended by SIGSEGV")
