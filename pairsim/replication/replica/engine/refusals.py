"""Whether a leader may carry out an order about its engine; pure decisions, and sentences that say what to do.

An order may change the last tick that has a record, as long as no client has seen the tick and none can see it before
the order is in force.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pairsim.replication.standing import FAILED, Standing

_MAX_COMMANDS_SHOWN = 5


class Situation(msgspec.Struct, frozen=True):
    """All that decides whether an order may be accepted.

    Attributes:
        area: The name of the area.
        tick: The tick after the leader's state.
        last: The last tick that has a record.
        commands: The ids of the commands of that record.
        level: How badly the leader has failed at this attempt of the tick.
        running: Whether its engine runs.
        code: The fingerprint of the code that the order would put into force; empty if that is unknown.
        code_in_force: The fingerprint of the code in force; empty if none was named.
        at_rest: Whether nothing is under way: no record of the leader, and no handover.
        term: The term of the leader.
        shown: The newest tick that the leader has shown.
        other: The name of the other replica.
        standing: What the other replica has reported of itself; None while it is not connected.
    """

    area: str
    tick: int
    last: int
    commands: Sequence[str]
    level: int
    running: bool
    code: str
    code_in_force: str
    at_rest: bool
    term: int
    shown: int
    other: str
    standing: Standing | None

    @property
    def mend(self) -> str:
        """The advice for a tick that cannot be changed."""
        return f"mend the simulator, and {self.area} goes on with the next attempt"

    @property
    def has_other_code(self) -> bool:
        """Whether that is other code than the one in force."""
        return bool(self.code and self.code_in_force) and self.code != self.code_in_force

    @property
    def runs(self) -> bool:
        """Whether an engine runs that has not failed at the tick."""
        return self.running and self.level < FAILED


_NOT_AT_REST = "the area is being handed over, or a record is not committed yet: try again in a moment"


def skip_refusal(now: Situation, command: str) -> str:
    """Returns why a command cannot be left out of the tick now; empty if it can."""
    if now.level < FAILED:
        return f"{now.area} is not paused: a command can be skipped only while its tick fails on both replicas"
    if not now.at_rest:
        return _NOT_AT_REST
    if now.tick > now.last:
        return f"tick {now.tick} fails before it has any commands: {now.mend}"
    if now.tick < now.last:
        later = f"ticks up to {now.last} follow tick {now.tick}, and were computed with all its commands"
        return f"{later}: {now.mend}"
    if command not in now.commands:
        return f"tick {now.tick}, which fails, has no command {command!r}: it has {_listed(now)}"
    return seen(now)


def restart_refusal(now: Situation) -> str:
    """Returns why the engine that failed cannot be started again now; empty if it can."""
    return "" if now.at_rest else _NOT_AT_REST


def ordered_code(own: str, in_force: str, other: Standing | None) -> str:
    """Returns the code that an order puts into force: new code of this replica, or else of the other one.

    A rolling update may have come to the other replica first.

    Args:
        own: The code that an engine of the leader finds in its files.
        in_force: The code in force.
        other: The standing of the other replica; None if it cannot lead now.
    """
    if own != in_force or other is None:
        return own
    return other.fresh or other.code or own


def code_refusal(now: Situation) -> str:
    """Returns why the code that the order would put into force cannot compute the tick; empty if it can.

    Other code changes a tick as much as a skip does.
    """
    if not now.has_other_code or now.tick > now.last:
        return ""
    if now.tick < now.last:
        reason = f"ticks up to {now.last} follow tick {now.tick}, and were computed with the code before"
    else:
        reason = seen(now)
    return reason and (
        f"the simulator's code is not the one with which tick {now.tick} was recorded; {reason};"
        " `pairsim engines restart` with --even-if-seen goes on all the same, and clients may see the tick in two"
        " versions"
    )


def seen(now: Situation) -> str:
    """Returns why the tick may have been seen, or may still be seen in this leadership; empty if it cannot."""
    if now.shown >= now.tick:
        return f"tick {now.tick} was shown before it failed, so that it cannot be changed any more: {now.mend}"
    if now.standing is None:
        return f"{now.other} is not connected and may have shown tick {now.tick}: wait until it is back, and try again"
    if now.standing.term != now.term:
        return f"{now.other} does not know yet which replica leads: try again in a moment"
    if now.standing.reached >= now.tick:
        return f"{now.other} has computed tick {now.tick}, so that it cannot be changed any more: wait until it leads"
    return ""


def _listed(now: Situation) -> str:
    if not now.commands:
        return "none"
    more = len(now.commands) - _MAX_COMMANDS_SHOWN
    rest = f" and {more} more: `pairsim skip` alone lists all" if more > 0 else ""
    return ", ".join(now.commands[:_MAX_COMMANDS_SHOWN]) + rest
