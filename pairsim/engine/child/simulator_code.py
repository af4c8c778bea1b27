"""The calls of the author's simulator."""

from __future__ import annotations

from collections.abc import Sequence

from pairsim.engine.child.perceiving import PerceiveCalls
from pairsim.model.area import AreaSpec
from pairsim.model.command_schema import CommandSchema, Operation
from pairsim.model.commands import Command
from pairsim.model.simulation.simulator import PerceivingSimulator, Simulator
from pairsim.model.simulation.tick import advance, populate_initial
from pairsim.model.state.schema import Schema
from pairsim.model.state.table import Table


class SimulatorCode:
    """The calls of the simulator of an area. They raise what the author's code raises.

    Attributes:
        kind: The simulator's class.
        components: Its components.
        operations: Its own operations.
        perceives: Whether it looks outside.
    """

    def __init__(self, simulator: Simulator, spec: AreaSpec) -> None:
        """Takes a simulator that has been prepared.

        Raises:
            TypeError: Its components are not a schema.
            ValueError: Its operations do not fit together.
        """
        self.kind = type(simulator)
        components: object = simulator.components
        if not isinstance(components, Schema):
            raise TypeError(f"the components must be a Schema, not {type(components).__name__}")
        self.components, self.operations = components, tuple[Operation, ...](simulator.operations)
        self._command_schema = CommandSchema(self.components, self.operations)
        self._simulator, self._spec = simulator, spec
        self._perceiving = PerceiveCalls(simulator) if isinstance(simulator, PerceivingSimulator) else None
        self.perceives = self._perceiving is not None

    def populate(self, table: Table) -> None:
        """Fills an empty table with the entities of tick 0."""
        populate_initial(self._simulator, table, self._spec)

    def advance(self, table: Table, commands: Sequence[Command], tick: int) -> dict[int, str]:
        """Advances a table from tick - 1 to `tick`; returns the reasons of rejected commands by place."""
        return advance(self._simulator, table, commands, tick, self._spec)

    def perceive(self, table: Table, tick: int) -> list[Command]:
        """Returns the commands for a tick that the simulator perceives, with plain values."""
        return self._perceiving.commands(table, tick) if self._perceiving is not None else []

    def perceive_checked(self, table: Table, tick: int) -> list[Command]:
        """Returns the perceived commands without those that a node would leave out."""
        if self._perceiving is None:
            return []
        return self._perceiving.fitting(self.perceive(table, tick), self._command_schema, tick)
