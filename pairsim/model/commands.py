"""Commands, which are the inputs to an area from outside, and their results.

The sender of a command chooses its id, which makes the command idempotent: when the sender got no answer (for example
because of a takeover) and sends the command again, the answer is `duplicate` with the tick of the first result, and
nothing changes.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Annotated

import msgspec

MAX_ID_LENGTH = 64
MAX_ENTITY = 2**63 - 1
MAX_BATCH = 10_000
"""The highest number of commands in one batch, over HTTP or in a session."""

BASE_OPS = frozenset({"spawn", "despawn", "set"})
"""The operations that every area has; a simulator adds its own."""

Value = float | list[float]
"""A component's value: a number, or a list of numbers of the component's width."""


class Command(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One input to an area, applied once, in one tick.

    Attributes:
        id: An id that the sender chooses, 1 to 64 characters. It must be unique per intention: a retry carries the same
            id, a new command another one.
        op: `spawn`, `despawn`, `set`, or an operation of the simulator.
        entity: The id of the entity (0 to 2**63 - 1).
        components: Values by component name, or by argument name of the simulator's operation.
        attempt: 0 for a sender that stays with one area, which then follows the entity for it. A sender that goes after
            a result `moved` to another area by itself counts its attempts from 1: an area that has answered an attempt
            does not apply this one and earlier ones any more.
    """

    id: str
    op: str
    entity: int
    components: dict[str, Value] = {}
    attempt: Annotated[int, msgspec.Meta(ge=0, lt=2**31 - 1)] = 0


class Status(enum.StrEnum):
    """The outcome of a committed command."""

    APPLIED = "applied"
    REJECTED = "rejected"
    DUPLICATE = "duplicate"
    MOVED = "moved"
    """Nothing was applied: the entity is in another area."""


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """The committed answer to a command.

    Attributes:
        id: The id of the command.
        status: The outcome.
        tick: The tick in which the command was applied or rejected; for a duplicate, the tick of the first result.
        reason: Why the command was rejected; for a duplicate of a rejected command, why the first one was.
        area: If the entity has moved, the area where it went; empty if this is not known.
        urls: The replicas of that area.
    """

    id: str
    status: Status
    tick: int
    reason: str = ""
    area: str = ""
    urls: tuple[str, ...] = ()


class CommandError(ValueError):
    """The error for a command that can never be valid in its area; nothing of its batch is applied."""


def collapse_retries(results: Sequence[Result], floor: int) -> list[Result]:
    """Returns the results of a batch that was sent more than once as its sender, who meant it once, should see them.

    A duplicate in a tick after `floor` is the batch's own first run: it becomes `applied`, or `rejected` if it has a
    reason. A duplicate in a tick up to `floor` was run before this batch was sent, and stays a duplicate.

    Args:
        results: The results of the last attempt, in the order of the commands.
        floor: The newest committed tick that was known when the batch was first sent.
    """
    return [
        msgspec.structs.replace(result, status=Status.REJECTED if result.reason else Status.APPLIED)
        if result.status is Status.DUPLICATE and result.tick > floor
        else result
        for result in results
    ]
