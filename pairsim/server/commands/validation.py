"""Which batches may go into an inbox. Nothing of a batch is applied unless all of it passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pairsim.model.commands import MAX_BATCH, Command
from pairsim.server.http.errors import HttpError

if TYPE_CHECKING:
    from pairsim.model.command_schema import CommandSchema


def check_batch(commands: Sequence[Command], command_schema: CommandSchema | None) -> None:
    """Lets a batch pass, or says what is wrong with it.

    Raises:
        HttpError: 400, 413, or 503 while this process has no area.
        CommandError: The catalogue refuses a command.
    """
    if not commands:
        raise HttpError(400, "the batch is empty: send at least one command")
    if len(commands) > MAX_BATCH:
        raise HttpError(413, f"a batch holds at most {MAX_BATCH:,} commands, not {len(commands):,}")
    if len({command.id for command in commands}) < len(commands):
        raise HttpError(400, f"the id {_first_twice(commands)!a} is used twice in one batch: an id names one command")
    if command_schema is None:
        raise HttpError(503, "this process is a spare: it has no area to send commands to")
    for command in commands:
        command_schema.check(command)


def _first_twice(commands: Sequence[Command]) -> str:
    seen: set[str] = set()
    for command in commands:
        if command.id in seen:
            return command.id
        seen.add(command.id)
    raise LookupError("no id is used twice")
