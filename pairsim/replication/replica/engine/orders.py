"""Orders of operators about the engine of a paused area, from the request to the record that is in force.

The leader decides, in its replica thread: no call of an engine is under way then. It refuses an order that could change
a tick that clients may have seen, or that comes at the wrong moment, with a sentence that says what to do. While the
record of an order is under way, nothing is computed.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import msgspec

from pairsim.replication.log.records import Skip
from pairsim.replication.log.tick_log import TickLog
from pairsim.replication.replica.engine.failures import EngineFailures
from pairsim.replication.replica.ports import Consensus
from pairsim.replication.service import OrderResult, RefusedError
from pairsim.replication.standing import FAILED, Standing
from pairsim.replication.waiting import Wakeup

_MAX_COMMANDS_SHOWN = 5


class Situation(msgspec.Struct, frozen=True):
    """All that decides whether an order may be accepted.

    Attributes:
        area: The name of the area.
        tick: The tick after the leader's state.
        last: The last tick that has a record.
        commands: The ids of the commands of that record.
        left_out: Those of them that are left out already.
        level: How badly the leader has failed at this attempt of the tick.
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
    left_out: frozenset[str]
    level: int
    at_rest: bool
    term: int
    shown: int
    other: str
    standing: Standing | None

    @property
    def mend(self) -> str:
        """What an operator can do in place of a skip."""
        return f"mend the simulator, and {self.area} goes on with the next attempt"


def skip_refusal(now: Situation, command: str) -> str:
    """Returns why a command cannot be left out of the tick now; empty if it can."""
    if now.level < FAILED:
        return f"{now.area} is not paused: a command can be skipped only while its tick fails on both replicas"
    if not now.at_rest:
        return "the area is being handed over, or a record is not committed yet: try again in a moment"
    if now.tick > now.last:
        return f"tick {now.tick} fails before it has any commands: {now.mend}"
    if now.tick < now.last:
        later = f"ticks up to {now.last} follow tick {now.tick}, and were computed with all its commands"
        return f"{later}: {now.mend}"
    if command not in now.commands:
        return f"tick {now.tick}, which fails, has no command {command!r}: it has {_listed(now.commands)}"
    if command in now.left_out:
        return f"command {command!r} is left out of tick {now.tick} already"
    return seen(now)


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


def _listed(commands: Sequence[str]) -> str:
    if not commands:
        return "none"
    more = len(commands) - _MAX_COMMANDS_SHOWN
    return ", ".join(commands[:_MAX_COMMANDS_SHOWN]) + (f" and {more} more" if more > 0 else "")


class OrderRequest:
    """A request of an operator; the replica thread finishes it, any thread waits for that.

    Attributes:
        command: The id of the command to leave out.
        term: The term in which its record was submitted; None before that.
        revision: The number of orders in the log before it.
        tick: The tick that it is about.
        withdrawn: Whether nobody waits for it any more; it is not submitted then.
        outcome: The order that is in force, or why it is not; None before that is known.
        finished: Set when the outcome is known.
    """

    def __init__(self, command: str) -> None:
        self.command = command
        self.term: int | None = None
        self.revision = self.tick = 0
        self.withdrawn = False
        self.outcome: OrderResult | Exception | None = None
        self.finished = Wakeup()


class EngineOrders:
    """The orders about the engine of one replica, one at a time."""

    def __init__(self, area: str, log: TickLog, failures: EngineFailures, consensus: Consensus) -> None:
        """Starts without an order."""
        self._area, self._log, self._failures, self._consensus = area, log, failures, consensus
        self._lock = threading.Lock()
        self._request: OrderRequest | None = None

    def request(self, command: str) -> OrderRequest:
        """Requests that a command is left out of the tick that fails. Any thread.

        Raises:
            RefusedError: Another order is under way.
        """
        with self._lock:
            if self._request is not None:
                raise RefusedError("another order about the engine is under way: try again in a moment")
            self._request = request = OrderRequest(command)
        return request

    def run_once(self, term: int | None, *, tick: int, shown: int, at_rest: bool) -> None:
        """Goes on with the order. Replica thread, between two calls of the engine.

        Args:
            term: The term that this replica leads; None if it does not lead.
            tick: The tick after its state.
            shown: The newest tick that it has shown.
            at_rest: Whether none of its records and no handover is under way.
        """
        request = self._request
        if request is None:
            return
        if request.term is None:
            self._begin(request, term, tick, shown, at_rest=at_rest)
        elif self._log.orders.revision > request.revision:
            self._finish(request, OrderResult(request.term, request.tick, self._log.orders.revision))
        elif term != request.term:
            error = "the leadership changed before the order was committed: look whether it is in force, and try again"
            self._finish(request, TimeoutError(error))
        self._failures.held = self._request is not None

    def _begin(self, request: OrderRequest, term: int | None, tick: int, shown: int, *, at_rest: bool) -> None:
        if term is None or request.withdrawn:
            self._finish(request, RefusedError("this replica does not lead any more: try again in a moment"))
            return
        refusal = skip_refusal(self._situation(term, tick, shown, at_rest=at_rest), request.command)
        if refusal:
            self._finish(request, RefusedError(refusal))
            return
        request.term, request.tick, request.revision = term, tick, self._log.orders.revision
        self._consensus.submit(term, Skip(term, tick, request.command))

    def _situation(self, term: int, tick: int, shown: int, *, at_rest: bool) -> Situation:
        with self._log.lock:
            last, commands, orders = self._log.tick, self._log.last_commands, self._log.orders
        other, standing = self._consensus.other_report()
        return Situation(
            area=self._area,
            tick=tick,
            last=last,
            commands=commands,
            left_out=orders.left_out(tick),
            level=self._failures.level(tick, orders.revision),
            at_rest=at_rest,
            term=term,
            shown=shown,
            other=other,
            standing=standing,
        )

    def _finish(self, request: OrderRequest, outcome: OrderResult | Exception) -> None:
        request.outcome = outcome
        with self._lock:
            self._request = None
        request.finished.set()
