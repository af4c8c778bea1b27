r"""One leadership of a replica: while its term lasts, the active simulates.

    inbox -> record n {tick, commands, digest of n-1} -> Raft --commit--> acknowledge
          \-> simulator.step(table, commands, n) -> state n -> state stream -> passive

A *handover request* (to the passive, or to the next generation) first brings the area to rest: the active starts no
tick until the last one is committed and the other side has its state. The rest costs one round trip, and nothing has
to be undone.

Ticks that have a record already come first: an active whose engine fails, or starts, has not replayed them all. It
leads and publishes the state that it has, so that another replica can join, and goes on when its engine can.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import msgspec

from pairsim.model.area import AreaSpec
from pairsim.model.assignment import Assignment
from pairsim.model.borders.codec import encode_inputs
from pairsim.model.commands import Command
from pairsim.replication.links.exchange import LinkExchange
from pairsim.replication.log.records import Engines, Seal, Tick, decode_record
from pairsim.replication.log.tick_log import TickLog
from pairsim.replication.measurements import ReplicaMeasurements
from pairsim.replication.replica.engine.failures import EngineFailures
from pairsim.replication.replica.engine.in_use import EngineInUse
from pairsim.replication.replica.engine.shown_tick import ShownTick
from pairsim.replication.replica.first_tick import LOOK_SECONDS, FirstTick
from pairsim.replication.replica.handover_request import HandoverOutcome, HandoverRequest
from pairsim.replication.replica.in_flight import InFlight
from pairsim.replication.replica.inbox import Inbox
from pairsim.replication.replica.perception import Perception
from pairsim.replication.replica.ports import Consensus
from pairsim.replication.service import RefusedError
from pairsim.replication.sync.area_tick import NO_INPUTS, AreaAdvance, inputs_of
from pairsim.replication.sync.publisher import StatePublisher
from pairsim.replication.sync.simulator_calls import SimulatorCalls
from pairsim.replication.sync.state import ReplicaState, compare_digest

MAX_AHEAD = 3
"""Ticks that may be computed before the first of them is committed."""

_NEARLY_SYNCED_TICKS = 3
"""The area rests for a handover only when the peer's state is at most this far behind."""

FORWARD_SECONDS = 10.0
"""How long a batch waits for the answer to a command that follows its entity to another area."""

_RECHECK_SECONDS = 0.005
"""The pause before the next look at a handover, or at a commit that the next tick waits for."""


class ReplicaContext(msgspec.Struct, frozen=True):
    """What every leadership of a replica works with."""

    spec: AreaSpec
    calls: SimulatorCalls
    advance: AreaAdvance
    perception: Perception
    failures: EngineFailures
    state: ReplicaState
    log: TickLog
    inbox: Inbox
    links: LinkExchange
    publisher: StatePublisher
    consensus: Consensus
    measurements: ReplicaMeasurements
    shown: ShownTick
    engine: EngineInUse
    durable_tick: Callable[[], int]
    """Returns the tick of this replica's newest checkpoint on disk."""


class Active:
    """One leadership. The replica thread drives it; the Raft thread calls `on_committed` and `end`.

    Attributes:
        handover: The handover request that is under way; written under a lock, read by any thread.
    """

    def __init__(self, term: int, context: ReplicaContext, now: float) -> None:
        """Continues from the state."""
        self.term = term
        self.in_flight = InFlight(context.state.tick, round(FORWARD_SECONDS * context.spec.tick_rate))
        self.handover: HandoverRequest | None = None
        self._handover_lock = threading.Lock()
        self._context = context
        self._newest = context.state.take_snapshot(context.log.tick)
        self._first_tick: FirstTick | None = FirstTick(now)
        self._due = now
        self._step = 1.0 / context.spec.tick_rate
        self._declared = ""
        self._submitted: dict[int, float] = {}
        self._begun: list[Command] | None = None
        """The commands of the tick whose record is submitted and that is not computed yet."""
        self._inputs = NO_INPUTS
        """The other inputs of that tick."""
        context.links.begin()

    @property
    def at_rest(self) -> bool:
        """Whether all submitted records are committed, and no handover is under way. Replica thread."""
        return self.handover is None and self._context.log.tick >= self._submitted_tick

    @property
    def _submitted_tick(self) -> int:
        """The last tick whose record this leadership has submitted, or that it has replayed."""
        return self._context.state.tick + (self._begun is not None)

    def request_handover(self, peer: str, next_generation: Assignment | None, deadline: float) -> HandoverRequest:
        """Sets the request to hand over: to `peer`, or to `next_generation` once `peer` is in sync. Any thread.

        Raises:
            RefusedError: Another request is under way.
        """
        request = HandoverRequest(peer, next_generation, deadline, self.term)
        with self._handover_lock:
            if self.handover is not None:
                raise RefusedError("the area is being handed over already: wait until it is done")
            self.handover = request
        return request

    def run_once(self, now: float) -> float:
        """Does the work that is due at `now`; returns the latest time of the next call. Raises EngineError."""
        context = self._context
        handover = self.handover
        if handover is not None and self._quiesce_for(handover, now):
            return now + _RECHECK_SECONDS
        if context.state.tick - context.log.tick >= MAX_AHEAD:
            return now + _RECHECK_SECONDS
        replays = self._begun is None and context.state.tick < context.log.tick
        first = None if replays else self._first_tick
        if first is not None:
            self._due = first.due(now, context.inbox.waiting)
        if now < self._due and not replays:
            return self._due if first is None else min(self._due, now + LOOK_SECONDS)
        if not context.failures.may_compute(context.state.tick + 1, context.log.orders.revision, now):
            self._publish_to_newcomers()
            return now + _RECHECK_SECONDS
        self._tick()
        if replays:
            return now
        self._first_tick = None
        self._due += self._step
        if self._due < now - 5 * self._step:
            context.measurements.overruns += 1
            self._due = now
        return self._due

    def _tick(self) -> None:
        began = time.perf_counter()
        context, state = self._context, self._context.state
        tick = state.tick + 1
        if self._begun is None:
            recorded = self._recorded(tick)
            self._begun = self._begin(tick) if recorded is None else recorded
        commands = self._begun
        with state.lock:
            borders, refused = context.advance(
                state.table,
                state.borders,
                tick,
                commands=commands,
                inputs=self._inputs,
                left_out=context.log.orders.left_out(tick),
                ids=self._newest.snapshot.ids if self._newest.tick == state.tick else None,
            )
            if not context.shown.compute(tick, self.term):
                state.take_back()
                return
            state.borders = borders
            self._newest = state.mark_computed(tick, context.log.tick)
            context.links.on_computed(tick, len(state.table), borders, refused)
        self._begun = None
        context.failures.on_computed(tick)
        self.in_flight.on_computed(tick, borders, self.term)
        self._publish()
        context.measurements.ticks.observe(time.perf_counter() - began)

    def _recorded(self, tick: int) -> list[Command] | None:
        """Returns the commands of a tick that has a record, after a check of the state; None for a new tick."""
        context = self._context
        payload = context.log.payload(tick) if tick <= context.log.tick else None
        record = decode_record(payload) if payload is not None else None
        if not isinstance(record, Tick):
            return None
        compare_digest(context.state, tick - 1, record.digest)
        context.measurements.replayed += 1
        self._inputs = inputs_of(record, context.state.table.schema)
        return record.commands

    def _begin(self, tick: int) -> list[Command]:
        """Submits the record of a tick and returns its commands."""
        context, state = self._context, self._context.state
        perceived = context.perception.commands(tick)  # first: if the engine fails, no batch has been taken
        commands = self.in_flight.admit(context.inbox.take(), tick, state.borders)
        commands.extend(perceived)
        self._inputs = context.links.inputs()
        digest = state.digest(tick - 1)
        if digest is None:
            raise RuntimeError(f"tick {tick - 1} has no digest: the state was changed outside the replica thread")
        record = Tick(
            term=self.term,
            tick=tick,
            digest=digest,
            floor=self._floor(),
            commands=commands,
            inputs=b"" if self._inputs == NO_INPUTS else encode_inputs(self._inputs),
        )
        self._declare_code(tick)
        self._submitted[tick] = time.perf_counter()
        context.consensus.submit(self.term, record)
        return commands

    def _declare_code(self, tick: int) -> None:
        """Puts the code of the first engine of the area into force; only an order puts other code into force later.

        A replica of an earlier release, whose reports have no term, would ignore the record: it comes after the update.
        """
        code = self._context.failures.code
        if self._context.log.orders.code or code in {"", self._declared}:
            return
        _other, standing = self._context.consensus.other_report()
        if standing is not None and standing.term:
            self._declared = code
            self._context.consensus.submit(self.term, Engines(self.term, tick, code))

    def _publish(self) -> None:
        """Sends the state to the subscribers, with the commit that a newcomer trusts.

        A commit of a later term says nothing about the ticks of this leadership, which is lost then.
        """
        context = self._context
        term, committed = context.log.position()
        if term == self.term:
            context.publisher.publish(
                self._newest.snapshot,
                self._newest.borders,
                term=self.term,
                tick=self._newest.tick,
                committed=committed,
            )

    def _floor(self) -> int:
        """Returns the tick up to which every member may forget records: the oldest checkpoint of a linked replica.

        A linked replica that has not reported its checkpoint yet may need any record, because it votes and may have
        to continue alone: the floor is 0 then.
        """
        context = self._context
        durables = context.publisher.durable_ticks()
        if not context.consensus.linked_replicas() <= durables.keys():
            return 0
        return min([context.durable_tick(), *durables.values()])

    def _quiesce_for(self, handover: HandoverRequest, now: float) -> bool:
        """Advances a handover request; returns whether the area must not tick."""
        context = self._context
        tick = context.state.tick
        if not handover.sent:
            if now > handover.deadline:
                self._finish_handover(HandoverOutcome.FAILED)
                return False
            if handover.not_before_tick is None:
                handover.not_before_tick = tick + 1  # right after a tick the area has the most time until the next
            may_tick = context.failures.may_compute(tick + 1, context.log.orders.revision, now)
            if tick < handover.not_before_tick and may_tick:
                return False
            nearly_synced = context.publisher.acked(handover.peer) >= tick - _NEARLY_SYNCED_TICKS
            if not nearly_synced or not handover.survivors_linked(context.consensus.voters()):
                return False
            if context.log.tick < self._submitted_tick:
                return True
            if context.publisher.acked(handover.peer) < tick:
                self._publish_last()
                return True
            handover.sent = True
            if handover.next_generation is None:
                context.consensus.transfer_leadership(handover.peer)
            else:
                # The log may have records that no engine can compute: the next generation takes them along.
                context.consensus.submit(self.term, Seal(self.term, context.log.tick, handover.next_generation))
        elif handover.next_generation is None and now > handover.deadline:
            context.consensus.transfer_leadership(None)
            self._finish_handover(HandoverOutcome.FAILED)
            return False
        return True  # a seal cannot be taken back: the log has it, or the leadership is lost

    def _finish_handover(self, outcome: HandoverOutcome) -> None:
        """Finishes the request that is under way, if any; after a failure the area ticks on and another may come."""
        with self._handover_lock:
            request = self.handover
            if outcome is HandoverOutcome.FAILED:
                self.handover = None
            if request is not None:
                request.finish(outcome)

    def _publish_to_newcomers(self) -> None:
        """Publishes the state, at which the area stands, to subscribers that lack it."""
        if self._context.publisher.has_newcomers:
            self._publish()

    def _publish_last(self) -> None:
        """Publishes the last tick, which back-pressure may have skipped, and its commit, for a joining replica."""
        context = self._context
        if context.publisher.tick < context.state.tick:
            self._publish()
        term, committed = context.log.position()
        if term == self.term:
            context.publisher.send_watermark(term, committed)

    def on_committed(self, tick: int) -> None:
        """Notes that a tick of this leadership is committed. Raft thread."""
        submitted = self._submitted.pop(tick, None)
        if submitted is not None:
            self._context.measurements.commits.observe(time.perf_counter() - submitted)
        self.in_flight.on_committed(tick, self.term)

    def end(self) -> None:
        """Fails all open batches and finishes the handover request: the leadership is over.

        The Raft thread calls it first, then the replica thread, which may just have admitted more batches.
        """
        self.in_flight.fail_all()
        self._context.inbox.interrupt()
        self._context.links.end()
        self._finish_handover(HandoverOutcome.DONE)
