"""Commands: what comes into an area from outside, and what became of it.

A command's id is chosen by its sender and makes it idempotent: sent again (after a takeover, by a client that
got no answer) it is answered `duplicate` with the first result's tick and changes nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

import msgspec

MAX_ID_LENGTH = 64
MAX_ENTITY = 2**63 - 1
MAX_BATCH = 10_000
"""Commands in one batch, over HTTP or in a session."""

BASE_OPS = frozenset({"spawn", "despawn", "set"})
"""Operations every area understands; a simulator adds its own."""

Value = float | list[float]
"""A component's value: a number, or a list of numbers of the component's width."""


class Command(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One input to an area, applied once, in one tick.

    Attributes:
        id: Chosen by the sender; unique per intention, 1 to 64 characters.
        op: `spawn`, `despawn`, `set`, or an operation of the simulator.
        entity: The entity's 64-bit id (0 to 2**63 - 1).
        components: Values by component name, or by argument name of the simulator's operation.
    """

    id: str
    op: str
    entity: int
    components: dict[str, Value] = {}


class Status(enum.StrEnum):
    """What became of a command."""

    APPLIED = "applied"
    REJECTED = "rejected"
    DUPLICATE = "duplicate"


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """The committed answer to a command.

    Attributes:
        id: The command's id.
        status: What became of it.
        tick: The tick it belongs to; for a duplicate, the first result's tick.
        reason: Why it was rejected; for a duplicate of a rejected command, why that one was.
    """

    id: str
    status: Status
    tick: int
    reason: str = ""


class CommandError(ValueError):
    """A command that can never be valid in this area; nothing of its batch is applied."""


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
