"""Orders of operators about the engine of a paused area, from the request to the record that is in force.

The leader decides, in its replica thread: no call of an engine is under way then. It refuses an order that could change
a tick that clients may have seen, or that comes at the wrong moment. While the record of an order is under way, nothing
is computed.

Code that was mended comes into force by such an order, too: when an operator has the engines started again, and when
the engine that starts for the next attempt finds other code than the one with which the tick was recorded.
"""

from __future__ import annotations

import threading

import structlog

from pairsim.engine.port import EngineError
from pairsim.replication.log.orders import Orders, order_sentence
from pairsim.replication.log.records import Engines, Order, Skip, Tick, decode_record
from pairsim.replication.log.tick_log import TickLog
from pairsim.replication.replica.engine.failures import EngineFailures
from pairsim.replication.replica.engine.in_use import EngineInUse
from pairsim.replication.replica.engine.refusals import Situation, code_refusal, restart_refusal, skip_refusal
from pairsim.replication.replica.ports import Consensus
from pairsim.replication.service import FailingTick, OrderResult, RefusedError
from pairsim.replication.standing import FAILED
from pairsim.replication.sync.simulator_calls import SKIPPED
from pairsim.replication.waiting import Wakeup

log = structlog.get_logger()

_NOT_LEADING = "this replica does not lead any more: try again in a moment"


class OrderRequest:
    """A request of an operator; the replica thread finishes it, any thread waits for that.

    Attributes:
        command: The id of the command to leave out; None to start the engines again.
        even_if_seen: Whether mended code may compute a tick that clients may have seen.
        restarted: Whether the engine is being started for it.
        term: The term in which its record was submitted; None before that.
        revision: The number of orders in the log before it.
        tick: The tick that it is about.
        withdrawn: Whether nobody waits for it any more; it is not submitted then.
        outcome: The order that is in force, or why it is not; None before that is known.
        finished: Set when the outcome is known.
    """

    def __init__(self, command: str | None, *, even_if_seen: bool = False) -> None:
        self.command, self.even_if_seen = command, even_if_seen
        self.restarted = self.withdrawn = False
        self.term: int | None = None
        self.revision = self.tick = 0
        self.outcome: OrderResult | Exception | None = None
        self.finished = Wakeup()


class EngineOrders:
    """The orders about the engine of one replica, one at a time.

    Attributes:
        newest: The newest order that came into force, as a sentence; empty without one.
    """

    def __init__(
        self, area: str, log: TickLog, *, failures: EngineFailures, engine: EngineInUse, consensus: Consensus
    ) -> None:
        """Starts without an order."""
        self._area, self._log, self._failures, self._consensus = area, log, failures, consensus
        self._engine = engine
        self._lock = threading.Lock()
        self._request: OrderRequest | None = None
        self.newest = ""

    def request(self, command: str | None, *, even_if_seen: bool = False) -> OrderRequest:
        """Requests that a command is left out of the tick that fails, or that the engines start again. Any thread.

        Raises:
            RefusedError: Another order is under way.
        """
        with self._lock:
            if self._request is not None:
                raise RefusedError("another order about the engine is under way: try again in a moment")
            self._request = request = OrderRequest(command, even_if_seen=even_if_seen)
        return request

    def failing_tick(self, tick: int) -> FailingTick:
        """Returns the tick after the state, which fails, with its commands. Any thread.

        Raises:
            RefusedError: It does not fail here.
        """
        with self._log.lock:
            payload, orders = self._log.payload(tick), self._log.orders
        if self._failures.level(tick, orders.revision) < FAILED:
            raise RefusedError(f"{self._area} is not paused: no tick fails on both replicas")
        record = decode_record(payload) if payload is not None else None
        commands = record.commands if isinstance(record, Tick) else []
        return FailingTick(tick, commands, orders.left_out(tick))

    def on_order(self, order: Order) -> None:
        """Notes that an order is in force; an engine with other code than the one in force is replaced. Raft thread."""
        sentence = order_sentence(order, self._log.orders_before)
        self.newest = sentence or self.newest
        log.info("an order about engines is in force", area=self._area, order=str(order))
        if isinstance(order, Engines) and self._engine.code not in {"", order.code}:
            self._engine.renew()

    def run_once(self, term: int | None, now: float, *, tick: int, shown: int, at_rest: bool) -> None:
        """Goes on with the order. Replica thread, between two calls of the engine.

        Args:
            term: The term that this replica leads; None if it does not lead.
            now: The monotonic time in seconds.
            tick: The tick after its state.
            shown: The newest tick that it has shown.
            at_rest: Whether none of its records and no handover is under way.
        """
        request = self._request
        obstacle = ""
        if request is not None and request.term is not None:
            self._await(request, request.term, term)
        elif request is None and (term is None or self._failures.level(tick, self._log.orders.revision) < FAILED):
            pass
        elif request is not None and (term is None or request.withdrawn):
            self._finish(request, RefusedError(_NOT_LEADING))
        elif term is not None:
            situation = self._situation(term, tick, shown, at_rest=at_rest)
            if request is None:
                obstacle = self._adopt_code(situation)
            elif request.command is not None:
                self._begin_skip(request, request.command, situation)
            else:
                self._restart(request, situation, now)
        under_way = self._request is not None and (self._request.term is not None or self._request.restarted)
        self._failures.hold(under_way or bool(obstacle), obstacle)

    def _await(self, request: OrderRequest, submitted: int, term: int | None) -> None:
        if _in_force(request, self._log.orders):
            self._finish(request, OrderResult(submitted, request.tick, self._log.orders.revision))
        elif term != submitted:
            error = "the leadership changed before the order was committed: look whether it is in force, and try again"
            self._finish(request, TimeoutError(error))

    def _begin_skip(self, request: OrderRequest, command: str, now: Situation) -> None:
        refusal = skip_refusal(now, command)
        if (tick := self._tick_without(command)) is not None:  # for a client that lost the answer
            self._finish(request, OrderResult(now.term, tick, self._log.orders.revision))
        elif refusal:
            self._finish(request, RefusedError(refusal))
        else:
            self._submit(request, Skip(now.term, now.tick, command))

    def _tick_without(self, command: str) -> int | None:
        """Returns the tick from which a command is left out, as far as the log still has that."""
        with self._log.lock:
            tick, known = self._log.orders.tick_without(command), self._log.window.get(command)
        if tick is None and known is not None and known.reason == SKIPPED:
            return known.tick
        return tick

    def _restart(self, request: OrderRequest, now: Situation, time: float) -> None:
        if not request.restarted:
            refusal = restart_refusal(now)
            if refusal:
                self._finish(request, RefusedError(refusal))
                return
            request.restarted = True
            self._failures.forget_start_error()
            self._engine.restart(time, "is started again by an order")
        elif self._failures.start_error is not None:
            self._finish(request, RefusedError(_start_failed(self._failures.start_error)))
        elif now.running and now.at_rest:
            refusal = "" if request.even_if_seen else code_refusal(now)
            if refusal:
                self._finish(request, RefusedError(refusal))
            else:
                self._submit(request, Engines(now.term, now.tick, now.code))

    def _adopt_code(self, now: Situation) -> str:
        """Puts the code of a new engine into force for the next attempt; returns what prevents that, or nothing."""
        if now.level < FAILED or not now.has_other_code or now.tick > now.last:
            return ""
        if not now.at_rest:
            return "a record is not committed yet"
        refusal = code_refusal(now)
        if not refusal:
            try:
                request = self.request(None)
            except RefusedError:
                return ""  # an operator was faster
            self._submit(request, Engines(now.term, now.tick, now.code))
        return refusal

    def _submit(self, request: OrderRequest, record: Skip | Engines) -> None:
        request.term, request.tick, request.revision = record.term, record.tick, self._log.orders.revision
        self._consensus.submit(record.term, record)

    def _situation(self, term: int, tick: int, shown: int, *, at_rest: bool) -> Situation:
        with self._log.lock:
            last, commands, orders = self._log.tick, self._log.last_commands, self._log.orders
        other, standing = self._consensus.other_report()
        return Situation(
            area=self._area,
            tick=tick,
            last=last,
            commands=commands,
            level=self._failures.level(tick, orders.revision),
            running=self._failures.running,
            code=self._engine.code,
            code_in_force=orders.code,
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


def _in_force(request: OrderRequest, orders: Orders) -> bool:
    """Returns whether the order is in force, and not another one: that of a replica that leads now, for example."""
    if request.command is not None:
        return request.command in orders.left_out(request.tick)
    return orders.revision > request.revision


def _start_failed(error: EngineError) -> str:
    return f"the engine cannot be started: {error}"
