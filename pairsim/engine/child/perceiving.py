"""The commands that `perceive` returns, as plain values that any message can carry.

`perceive` is foreign code. What it returns is converted where the author's objects are; the node checks the commands
against the command schema, and here that is done in the rehearsal. A command that does not fit is left out.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable

import msgspec

from pairsim.engine.port import MAX_PERCEIVED, MAX_PERCEIVED_BYTES
from pairsim.model.command_schema import CommandSchema
from pairsim.model.commands import Command, CommandError
from pairsim.model.simulation.error_location import method_place
from pairsim.model.simulation.foreign_text import foreign_text
from pairsim.model.simulation.perceived import PerceivedFieldError, plain_command
from pairsim.model.simulation.simulator import PerceivingSimulator
from pairsim.model.state.table import Table

log = logging.getLogger(__name__)  # the logger of the node takes long to import

_MAX_REPORTED = 100
_MAX_REASON_CHARACTERS = 300
_encoder = msgspec.msgpack.Encoder()


class PerceiveCalls:
    """The calls of a simulator's `perceive`. Each kind of mistake is logged once."""

    def __init__(self, simulator: PerceivingSimulator) -> None:
        """Takes the simulator."""
        self._simulator = simulator
        self._reported: set[str] = set()

    def commands(self, table: Table, tick: int) -> list[Command]:
        """Calls `perceive` and returns its commands for a tick, without those that cannot be converted.

        All commands are left out if they are more than a tick takes.
        """
        returned: object = self._simulator.perceive(table, tick)
        if returned is None:
            return []
        if not isinstance(returned, Iterable):
            self._report("perceive", f"it returned an object of type {type(returned).__name__}, not commands", tick)
            return []
        commands: list[Command] = []
        size = 0
        for number, value in enumerate(itertools.islice(returned, MAX_PERCEIVED + 1)):
            if number == MAX_PERCEIVED:
                self._report("perceive", f"more than {MAX_PERCEIVED:,} commands in a tick: all are left out", tick)
                return []
            try:
                command = plain_command(value)
                size += len(_encoder.encode(command))
            except PerceivedFieldError as error:
                self._report(error.field or "perceive", str(error), tick)
            except OverflowError:
                self._report(foreign_text(command.op), f"the entity {command.entity} is out of range", tick)
            else:
                commands.append(command)
            if size > MAX_PERCEIVED_BYTES:
                self._report("perceive", f"more than {MAX_PERCEIVED_BYTES:,} bytes in a tick: all are left out", tick)
                return []
        return commands

    def fitting(self, commands: Iterable[Command], command_schema: CommandSchema, tick: int) -> list[Command]:
        """Returns the commands that fit a command schema."""
        fitting: list[Command] = []
        for command in commands:
            try:
                command_schema.check(command)
            except CommandError as error:
                self._report(foreign_text(command.op), str(error), tick)
            else:
                fitting.append(command)
        return fitting

    def _report(self, field: str, reason: str, tick: int) -> None:
        """Logs a mistake, unless the field had one before: `perceive` would repeat it in every tick."""
        if field in self._reported or len(self._reported) >= _MAX_REPORTED:
            return
        self._reported.add(field)
        kind = type(self._simulator)
        log.warning(
            "left out what the simulator %s:%s (%s) perceived in tick %d: %s: %s",
            kind.__module__, kind.__qualname__, method_place(kind, "perceive"), tick, field,
            foreign_text(reason, _MAX_REASON_CHARACTERS),
        )  # fmt: skip
