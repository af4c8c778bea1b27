"""The commands that follow from what the simulator perceives outside of its area.

The record of a tick holds these commands and every replica runs them, so they are checked like the commands of clients.
A command that does not fit is left out.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from pairsim.engine.port import MAX_PERCEIVED, MAX_PERCEIVED_BYTES
from pairsim.model.command_schema import CommandSchema
from pairsim.model.commands import Command, CommandError
from pairsim.model.simulation.foreign_text import foreign_text
from pairsim.replication.log.records import commands_bytes
from pairsim.replication.sync.simulator_calls import SimulatorCalls

log = structlog.get_logger()

_MAX_REPORTED = 100
_MAX_REASON_CHARACTERS = 300


class Perception:
    """The commands of a simulator's `perceive`. Each kind of mistake is logged once. Replica thread only."""

    def __init__(self, simulator: str, calls: SimulatorCalls, command_schema: Callable[[], CommandSchema]) -> None:
        """Takes the name of the simulator, its calls, and what returns the schema that its commands must fit."""
        self._simulator, self._calls, self._command_schema = simulator, calls, command_schema
        self._reported: set[str] = set()

    def commands(self, tick: int) -> list[Command]:
        """Returns the perceived commands for a tick, without those that are invalid.

        All commands are left out if they are more than a tick takes: an engine of any kind may return them.
        """
        perceived = self._calls.perceive(tick)
        commands: list[Command] = []
        command_schema = self._command_schema()
        for command in perceived:
            try:
                command_schema.check(command)
            except CommandError as error:
                self._report(foreign_text(command.op), str(error), tick)
            else:
                commands.append(command)
        if len(perceived) > MAX_PERCEIVED or commands_bytes(commands) > MAX_PERCEIVED_BYTES:
            limits = f"{MAX_PERCEIVED:,} commands or {MAX_PERCEIVED_BYTES:,} bytes"
            self._report("perceive", f"more than {limits} in a tick: all are left out", tick)
            return []
        return commands

    def _report(self, field: str, reason: str, tick: int) -> None:
        """Logs a mistake, unless the field had one before: `perceive` would repeat it in every tick."""
        if field in self._reported or len(self._reported) >= _MAX_REPORTED:
            return
        self._reported.add(field)
        log.warning(
            "left out what the simulator perceived",
            simulator=self._simulator, field=field, tick=tick, reason=foreign_text(reason, _MAX_REASON_CHARACTERS),
        )  # fmt: skip
