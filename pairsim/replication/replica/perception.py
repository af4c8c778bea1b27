"""What the simulator perceives outside of its area, as commands that the log can hold.

`perceive` is foreign code. The record of a tick holds its commands and every replica runs them, so they are converted
to plain values and checked like the commands of clients. A command that does not fit is left out.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import structlog

from pairsim.model.command_schema import CommandSchema
from pairsim.model.commands import Command, CommandError
from pairsim.model.simulation.error_location import class_file
from pairsim.model.simulation.foreign_text import foreign_text
from pairsim.model.simulation.perceived import PerceivedFieldError, plain_command
from pairsim.model.simulation.simulator import Simulator
from pairsim.model.state.table import Table
from pairsim.replication.log.records import commands_bytes

log = structlog.get_logger()

MAX_PERCEIVED, MAX_PERCEIVED_BYTES = 5_000, 2**20
"""The most commands of one tick that may come from `perceive`, and the most bytes that they may take."""

_MAX_REPORTED = 100
_MAX_REASON_CHARACTERS = 300


class Perception:
    """The commands of a simulator's `perceive`. Each kind of mistake is logged once. Replica thread only."""

    def __init__(self, simulator: Simulator, command_schema: CommandSchema) -> None:
        """Takes the simulator and the schema that its commands must fit."""
        self._simulator, self._command_schema = simulator, command_schema
        self._reported: set[str] = set()

    def commands(self, table: Table, tick: int) -> list[Command]:
        """Calls `perceive` and returns its commands for a tick, without those that cannot be converted or are invalid.

        All commands are left out if they are more than a tick takes.
        """
        returned: object = self._simulator.perceive(table, tick)
        if returned is None:
            return []
        if not isinstance(returned, Iterable):
            self._report("perceive", f"it returned an object of type {type(returned).__name__}, not commands", tick)
            return []
        commands: list[Command] = []
        for number, value in enumerate(itertools.islice(returned, MAX_PERCEIVED + 1)):
            if number == MAX_PERCEIVED:
                self._report("perceive", f"more than {MAX_PERCEIVED:,} commands in a tick: all are left out", tick)
                return []
            try:
                command = plain_command(value)
                self._command_schema.check(command)
            except PerceivedFieldError as error:
                self._report(error.field or "perceive", str(error), tick)
            except CommandError as error:
                self._report(command.op, str(error), tick)
            else:
                commands.append(command)
        if commands_bytes(commands) > MAX_PERCEIVED_BYTES:
            self._report("perceive", f"more than {MAX_PERCEIVED_BYTES:,} bytes in a tick: all are left out", tick)
            return []
        return commands

    def _report(self, field: str, reason: str, tick: int) -> None:
        """Logs a mistake, unless the field had one before: `perceive` would repeat it in every tick."""
        if field in self._reported or len(self._reported) >= _MAX_REPORTED:
            return
        self._reported.add(field)
        kind = type(self._simulator)
        log.warning(
            "left out what the simulator perceived",
            simulator=f"{kind.__module__}:{kind.__qualname__}", file=class_file(kind), field=field, tick=tick,
            reason=foreign_text(reason, _MAX_REASON_CHARACTERS),
        )  # fmt: skip
