"""Which batches may enter an inbox. Nothing of a batch is applied unless all of it is valid."""

from __future__ import annotations

from collections.abc import Sequence

from pairsim.model.commands import MAX_BATCH, Command
from pairsim.replication.service import ReplicaService
from pairsim.server.http.errors import HttpError


def check_batch(commands: Sequence[Command], service: ReplicaService) -> None:
    """Checks a batch against the limits and the command schema of the process's area.

    Args:
        commands: The batch.
        service: The process.

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
    command_schema = service.command_schema()
    if command_schema is None:
        raise HttpError(503, service.status().without_area)
    for command in commands:
        command_schema.check(command)


def _first_duplicate(commands: Sequence[Command]) -> str:
    seen: set[str] = set()
    for command in commands:
        if command.id in seen:
            return command.id
        seen.add(command.id)
    raise LookupError("every id is used once")
