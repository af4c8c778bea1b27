"""Which batches may enter an inbox. Nothing of a batch is applied unless all of it is valid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pairsim.model.commands import MAX_BATCH, Command
from pairsim.server.http.errors import HttpError

if TYPE_CHECKING:
    from pairsim.model.command_schema import CommandSchema


def check_batch(commands: Sequence[Command], command_schema: CommandSchema | None) -> None:
    """Checks a batch against the limits and the area's command schema.

    Args:
        commands: The batch.
        command_schema: The operations and components of the area; None while the process has no area.

    Raises:
        HttpError: 400, 413, or 503 while this process has no area.
        CommandError: The command schema refuses a command.
    """
    if not commands:
        raise HttpError(400, "the batch is empty: send at least one command")
    if len(commands) > MAX_BATCH:
        raise HttpError(413, f"a batch holds at most {MAX_BATCH:,} commands, not {len(commands):,}")
    if len({command.id for command in commands}) < len(commands):
        duplicate = _first_duplicate(commands)
        raise HttpError(400, f"the id {duplicate!a} is used twice in one batch: an id names one command")
    if command_schema is None:
        raise HttpError(503, "this process is a spare: it has no area to send commands to")
    for command in commands:
        command_schema.check(command)


def _first_duplicate(commands: Sequence[Command]) -> str:
    seen: set[str] = set()
    for command in commands:
        if command.id in seen:
            return command.id
        seen.add(command.id)
    raise LookupError("every id is used once")
