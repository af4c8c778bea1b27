"""What a replica has in place of an engine that could not be started: its tables, and nothing that computes.

A replica needs no engine to vote, to follow the active and to answer reads. It needs the interface of the simulator,
which the folder of the area or the other replica has. So it joins without an engine, says so in its standing and its
status, and another start is tried again and again, as after any failure of an engine.
"""

from __future__ import annotations

from collections.abc import Sequence

from pairsim.engine.port import EngineError
from pairsim.model.commands import Command
from pairsim.model.simulation.interface import SimulatorInterface
from pairsim.model.state.schema import Schema
from pairsim.model.state.stored_schema import schema_difference
from pairsim.model.state.table import Table


class AbsentEngine:
    """An `Engine` whose calls fail with the error for which it could not be started.

    Attributes:
        error: Why the engine could not be started.
        components: The simulator's components.
        operations: The simulator's own operations, as another replica or an earlier start knew them.
        table: The state of the area.
        check_table: An empty table.
        code: Empty.
        pid: None.
    """

    pid: int | None = None

    def __init__(self, interface: SimulatorInterface, error: EngineError) -> None:
        """Takes the interface of the simulator, and the error."""
        self.error, self.code = error, ""
        self.components, self.operations = interface.schema, interface.operations
        self.table, self.check_table = Table(self.components), Table(self.components)

    def populate(self) -> None:
        """Raises the error."""
        raise self.error

    def advance(self, table: Table, commands: Sequence[Command], tick: int) -> dict[int, str]:
        """Raises the error."""
        raise self.error

    def perceive(self, tick: int) -> list[Command]:
        """Raises the error."""
        raise self.error

    def close(self) -> None:
        """Does nothing, since nothing runs."""

    def difference(self, components: Schema) -> str:
        """Returns how the state differs from that of an engine with these components; empty if it fits.

        Bounds and operations may be others: the code may have changed since the interface was written down, and no
        stored byte depends on them.
        """
        return schema_difference(self.components, components)
