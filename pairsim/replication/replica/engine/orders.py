"""Orders of operators about the engine of an area, from the request to the record that is in force.

The leader decides, in its replica thread: no call of an engine is under way then. It refuses an order that could change
a tick that clients may have seen, or that comes at the wrong moment. While the record of an order is under way, nothing
is computed.

Other code comes into force by such an order only: when an operator has the engines started again, and when the engine
that starts for the next attempt at a tick that failed finds other code than the one with which the tick was recorded.

The engines of an area that runs are *renewed*: both replicas start a fresh engine beside the one in use, the leader
lets no tick begin when both are ready, and with the record in force both go on with the fresh ones. The leader does not
wait for a replica that is not connected, nor for long.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import msgspec
import structlog

from pairsim.engine.port import EngineError
from pairsim.model.borders.answers import command_key
from pairsim.replication.log.orders import order_sentence
from pairsim.replication.log.records import Engines, Order, Skip, Tick, decode_record
from pairsim.replication.log.tick_log import TickLog
from pairsim.replication.replica.engine.failures import EngineFailures
from pairsim.replication.replica.engine.in_use import EngineInUse
from pairsim.replication.replica.engine.order_request import OrderRequest
from pairsim.replication.replica.engine.refusals import (
    Situation,
    code_refusal,
    ordered_code,
    restart_refusal,
    skip_refusal,
)
from pairsim.replication.replica.ports import Consensus
from pairsim.replication.service import FailingTick, OrderResult, RefusedError
from pairsim.replication.standing import FAILED
from pairsim.replication.sync.simulator_calls import SKIPPED
from pairsim.replication.sync.state import ReplicaState

log = structlog.get_logger()

_NOT_LEADING = "this replica does not lead any more: try again in a moment"
_LOST = "the leadership changed before the order was in force: try again"

_OTHER_SECONDS = 10.0
"""How long an order waits for the fresh engine of the other replica when the leader's is ready."""

_FRESH_SECONDS = 10.0
"""How long a replica keeps a fresh engine after the leader's order is over: the record may come later."""


class EngineOrders:
    """The orders about the engine of one replica, one at a time.

    Attributes:
        newest: The newest order that came into force, as a sentence; empty without one.
        under_way: Whether nothing may be computed, nor the leadership be handed over, until an order is done.
        wants_checkpoint: Whether an order waits until the state is on disk.
    """

    def __init__(
        self,
        area: str,
        log: TickLog,
        *,
        state: ReplicaState,
        failures: EngineFailures,
        engine: EngineInUse,
        consensus: Consensus,
        durable: Callable[[], int],
    ) -> None:
        """Starts without an order; `durable` returns the tick of the newest checkpoint on disk."""
        self._durable = durable
        self.under_way = self.wants_checkpoint = False
        self._fresh_until = 0.0
        self._area, self._log, self._failures, self._consensus = area, log, failures, consensus
        self._engine, self._state = engine, state
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
        if self._failures.failed_level(tick, orders.revision) < FAILED:
            raise RefusedError(f"{self._area} is not paused: no tick fails on both replicas")
        record = decode_record(payload) if payload is not None else None
        commands = record.commands if isinstance(record, Tick) else []
        return FailingTick(tick, commands, orders.left_out(tick))

    def renewal(self) -> tuple[int, str]:
        """Returns the number of the order that renews the engines here, and the code of the fresh one. Any thread.

        On the leader an order counts from its request on, on the other replica when its fresh engine is ready.
        """
        request, engine = self._request, self._engine
        fresh = engine.fresh
        code = fresh.code if fresh is not None else ""
        if request is not None and request.renewal:
            return request.renewal, code
        return (engine.renewal, code) if fresh is not None or engine.fresh_error is not None else (0, "")

    def on_order(self, order: Order) -> None:
        """Notes that an order is in force; the engine is replaced by one with its code. Raft thread."""
        request = self._request
        if request is not None and request.record == order:
            request.revision = self._log.orders.revision
        sentence = order_sentence(order, self._log.orders_before)
        self.newest = sentence or self.newest
        log.info("an order about engines is in force", area=self._area, order=str(order))
        if isinstance(order, Engines):
            self._engine.renew(order.code)

    def run_once(self, term: int | None, now: float, *, tick: int, shown: int, at_rest: bool) -> None:
        """Goes on with the order. Replica thread, between two calls of the engine.

        Args:
            term: The term that this replica leads; None if it does not lead.
            now: The monotonic time in seconds.
            tick: The tick after its state.
            shown: The newest tick that it has shown.
            at_rest: Whether none of its records and no handover is under way.
        """
        request, obstacle = self._request, ""
        self.wants_checkpoint = False
        if request is not None and request.record is not None:
            self._await(request, request.record, term)
        elif request is not None and (term is None or request.withdrawn):
            self._finish(request, RefusedError(_NOT_LEADING))
        elif term is None:
            self._follow(now)
        elif request is not None or self._failures.failed_level(tick, self._log.orders.revision) >= FAILED:
            situation = self._situation(term, tick, shown, at_rest=at_rest)
            if request is None:
                obstacle = self._adopt_code(situation)
            elif request.command is not None:
                self._begin_skip(request, request.command, situation)
            elif request.renewal or (situation.runs and not request.restarted):
                self._renew(request, situation, now)
            else:
                self._restart(request, situation, now)
        request = self._request
        self.under_way = request is not None and (request.record is not None or request.holds)
        self._failures.hold(self.under_way or bool(obstacle), obstacle)

    def _await(self, request: OrderRequest, record: Order, term: int | None) -> None:
        if request.revision:
            self._finish(request, msgspec.structs.replace(request.result, revision=request.revision))
        elif term != record.term and self._log.term > record.term:
            # The log has the begin of a later leadership, and so all of this one that it will ever have.
            self._finish(request, RefusedError(_LOST))

    def _follow(self, now: float) -> None:
        """Starts a fresh engine for an order of the leader, and keeps it for a while after that order."""
        _other, standing = self._consensus.other_report()
        if standing is not None and standing.renewal:
            self._fresh_until = now + _FRESH_SECONDS
            self._engine.prepare(standing.renewal)
        elif now > self._fresh_until:
            self._engine.drop_fresh()

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
        tick, known = self._log.orders.tick_without(command), self._state.borders.answers.get(command_key(command))
        if tick is None and known is not None and known.reason == SKIPPED:
            return known.tick
        return tick

    def _restart(self, request: OrderRequest, now: Situation, time: float) -> None:
        """Starts the engine again that failed, and submits the record when it runs."""
        if not request.restarted:
            refusal = restart_refusal(now)
            if refusal:
                self._finish(request, RefusedError(refusal))
                return
            request.restarted = request.holds = True
            self._failures.forget_start_error()
            self._engine.restart(time, "is started again by an order")
        elif self._failures.start_error is not None:
            self._finish(request, RefusedError(_start_failed(self._failures.start_error)))
        elif now.running and now.at_rest:
            self._put_into_force(request, now, self._failures.code)

    def _renew(self, request: OrderRequest, now: Situation, time: float) -> None:
        """Starts a fresh engine on both replicas, and submits the record when both are ready."""
        engine = self._engine
        if not request.renewal:
            request.restarted, request.renewal = True, max(1, round(1000 * time))
        if engine.renewal != request.renewal:
            engine.prepare(request.renewal)
        elif engine.fresh_error is not None:
            failed = f"{_start_failed(engine.fresh_error)}; {self._area} goes on with the engine that it has"
            self._finish(request, RefusedError(failed))
        elif engine.fresh is not None:
            request.ready_at = time if request.ready_at is None else request.ready_at
            _other, standing = self._consensus.other_report()
            other_ready = standing is None or standing.renewal == request.renewal
            if other_ready or time > request.ready_at + _OTHER_SECONDS:
                request.holds = True
                if now.at_rest:
                    self._put_into_force(request, now, engine.fresh.code)

    def _put_into_force(self, request: OrderRequest, now: Situation, own: str) -> None:
        """Submits the record for new code: that of an engine of this replica, or that of the other one."""
        other = self._consensus.other_standing()
        code = ordered_code(own, now.code_in_force, other[1] if other is not None else None)
        now = msgspec.structs.replace(now, code=code)
        refusal = "" if request.even_if_seen else code_refusal(now)
        if refusal:
            self._finish(request, RefusedError(refusal))
        elif self._is_durable(now):
            request.result = OrderResult(
                now.term, now.tick, 0,
                running=bool(request.renewal), other_code=now.has_other_code, code_of=now.other if code != own else "",
            )  # fmt: skip
            self._submit(request, Engines(now.term, now.tick, code))

    def _is_durable(self, now: Situation) -> bool:
        """Returns whether the state is on disk from which other code goes on: it cannot compute earlier ticks again."""
        self.wants_checkpoint = now.has_other_code and self._durable() < now.tick - 1
        return not self.wants_checkpoint

    def _adopt_code(self, now: Situation) -> str:
        """Puts the code of a new engine into force for the next attempt; returns what prevents that, or nothing."""
        if not now.has_other_code or now.tick > now.last:
            return ""
        if not now.at_rest:
            return "a record is not committed yet"
        refusal = code_refusal(now)
        if not refusal and not self._is_durable(now):
            return "the state is being written to disk"
        if not refusal:
            try:
                request = self.request(None)
            except RefusedError:
                return ""  # an operator was faster
            self._submit(request, Engines(now.term, now.tick, now.code))
        return refusal

    def _submit(self, request: OrderRequest, record: Skip | Engines) -> None:
        if not request.result.term:
            request.result = OrderResult(record.term, record.tick, 0)
        request.record = record
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
            level=self._failures.failed_level(tick, orders.revision),
            running=self._failures.running,
            code=self._failures.code,
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


def _start_failed(error: EngineError) -> str:
    return f"the engine cannot be started: {error}"
