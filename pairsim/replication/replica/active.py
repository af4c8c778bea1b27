r"""One leadership: the replica simulates.

    inbox -> record n {tick, commands, digest of n-1} -> Raft --commit--> acknowledge
          \-> simulator.step(table, commands, n) -> state n -> state stream -> passive

An *order* to hand over (to the passive, or to the next generation) first brings the area to rest: no new tick until
the last one is committed and the other side has its state. It costs one round trip, and nothing has to be undone.
"""

from __future__ import annotations

import enum
import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec
import structlog

from pairsim.model.area import AreaSpec
from pairsim.model.assignment import Assignment
from pairsim.model.command_schema import CommandSchema
from pairsim.model.commands import Command, CommandError
from pairsim.model.simulation.simulator import Simulator
from pairsim.model.simulation.tick import advance
from pairsim.replication.log.records import Record, Rejection, Seal, Tick, commands_bytes
from pairsim.replication.log.tick_log import TickLog
from pairsim.replication.measurements import Meters
from pairsim.replication.replica.inbox import Inbox, Ledger
from pairsim.replication.sync.publisher import StatePublisher
from pairsim.replication.sync.state import State

log = structlog.get_logger()

MAX_AHEAD = 3
"""Ticks that may be computed before the first of them is committed."""

MAX_PERCEIVED, MAX_PERCEIVED_BYTES = 5_000, 2**20
"""Commands of one tick that may come from `perceive`."""

_GRACE = 0.0025
"""Seconds before the first tick of a leadership, for the commands that were held here until there was an active."""

_NEAR = 3
_RECHECK = 0.005


class Outcome(enum.Enum):
    """What became of an order."""

    PENDING = enum.auto()
    DONE = enum.auto()
    FAILED = enum.auto()


class Order:
    """To hand over: to the passive (`next` is None), or to the next generation."""

    def __init__(self, peer: str, next_generation: Assignment | None, deadline: float) -> None:
        self.peer = peer
        self.next = next_generation
        self.deadline = deadline
        self.given = False
        self.not_before: int | None = None
        self.outcome = Outcome.PENDING
        self.finished = threading.Event()

    def safe(self, voters: frozenset[str]) -> bool:
        """Whether everybody who must carry the seal into the next generation is there to learn of it."""
        if self.next is None:
            return True
        return len({m.replica for m in self.next.members()} - set(self.next.joins) - voters) <= 1  # all but this one

    def finish(self, outcome: Outcome) -> None:
        """Tells whoever waits."""
        if self.outcome is Outcome.PENDING:
            self.outcome = outcome
            self.finished.set()


class Consensus(Protocol):
    """What the active needs of its Raft group; any thread."""

    def submit(self, term: int, record: Record) -> None:
        """Puts a record into the log, if the term is still open."""

    def switch_to(self, peer: str | None) -> None:
        """Hands the leadership over once the peer has the whole log; None takes the order back."""

    def voters(self) -> frozenset[str]:
        """Peers that are linked and vote."""

    def companions(self) -> frozenset[str]:
        """Replicas that are linked; the witness is none."""


class Surroundings(msgspec.Struct, frozen=True):
    """What every leadership of a replica works with."""

    spec: AreaSpec
    simulator: Simulator
    command_schema: CommandSchema
    state: State
    log: TickLog
    inbox: Inbox
    publisher: StatePublisher
    consensus: Consensus
    meters: Meters
    durable: Callable[[], int]
    """The tick of the own newest checkpoint on disk."""


class Active:
    """Ticks while its term lasts. Replica thread, except `ledger`, `order` and `on_commit`."""

    def __init__(self, term: int, around: Surroundings, rejected: Mapping[int, str], now: float) -> None:
        """Goes on from the state, which is at the last committed tick; `rejected` belongs to that tick."""
        self.term = term
        self.ledger = Ledger(around.log.window, around.state.tick)
        self.order: Order | None = None
        self._around = around
        self.last_rejected = rejected
        self._due = now + _GRACE
        self._step = 1.0 / around.spec.tick_rate
        self._submitted: dict[int, float] = {}

    def run_once(self, now: float) -> float:
        """Does what is due; returns when to come again, at the latest."""
        around = self._around
        order = self.order
        if order is not None and self._at_rest_for(order, now):
            return now + _RECHECK
        if around.state.tick - around.log.tick >= MAX_AHEAD:
            return now + _RECHECK
        if now < self._due:
            return self._due
        self._tick()
        self._due += self._step
        if self._due < now - 5 * self._step:
            around.meters.overruns += 1
            self._due = now
        return self._due

    def _tick(self) -> None:
        began = time.perf_counter()
        around, state = self._around, self._around.state
        tick = state.tick + 1
        commands = self.ledger.admit(around.inbox.take(), tick)
        commands.extend(self._perceived(tick))
        digest = state.digest(tick - 1)
        if digest is None:
            raise RuntimeError(f"tick {tick - 1} has no digest: the state was changed by nobody who may")
        record = Tick(
            term=self.term,
            tick=tick,
            digest=digest,
            floor=self._floor(),
            rejected=self._rejections(self.last_rejected),
            commands=commands,
        )
        self._submitted[tick] = time.perf_counter()
        around.consensus.submit(self.term, record)
        with state.lock:
            self.last_rejected = advance(around.simulator, state.table, commands, tick, around.spec)
            state.at(tick)
        self.ledger.stepped(tick, self.last_rejected, self.term)
        self._publish()
        around.meters.ticks.observe(time.perf_counter() - began)

    def _perceived(self, tick: int) -> list[Command]:
        """What the simulator saw elsewhere, checked like a client's commands: it is logged, and run by everybody."""
        around = self._around
        perceived: list[Command] = []
        for command in around.simulator.perceive(around.state.table, tick):
            try:
                around.command_schema.check(command)
            except CommandError as error:
                log.warning("the simulator perceived a command that is not valid here", tick=tick, reason=str(error))
            else:
                perceived.append(command)
        if len(perceived) > MAX_PERCEIVED or commands_bytes(perceived) > MAX_PERCEIVED_BYTES:
            log.error(
                "the simulator perceived more than a tick takes, and all of it is dropped",
                tick=tick, commands=len(perceived), most=MAX_PERCEIVED, most_bytes=MAX_PERCEIVED_BYTES,
            )  # fmt: skip
            return []
        return perceived

    def _publish(self) -> None:
        around = self._around
        around.publisher.publish(
            around.state.table,
            term=self.term,
            tick=around.state.tick,
            committed=around.log.tick,
            rejected=self._rejections(self.last_rejected),
        )

    @staticmethod
    def _rejections(rejected: Mapping[int, str]) -> list[Rejection]:
        return [Rejection(index, reason) for index, reason in rejected.items()]

    def _floor(self) -> int:
        """What every member may forget: the oldest state on the disk of a replica that is here.

        One that has not yet said which that is may count on any: it votes, and could have to go on alone.
        """
        around = self._around
        durables = around.publisher.durables()
        if not around.consensus.companions() <= durables.keys():
            return 0
        return min([around.durable(), *durables.values()])

    def _at_rest_for(self, order: Order, now: float) -> bool:
        """Works on an order; True while the area must not tick."""
        around = self._around
        tick = around.state.tick
        if not order.given:
            if now > order.deadline:
                return self._give_up(order)
            if order.not_before is None:
                order.not_before = tick + 1  # right after a tick the area has the most time until the next
            if tick < order.not_before:
                return False
            if around.publisher.acked(order.peer) < tick - _NEAR or not order.safe(around.consensus.voters()):
                return False
            if around.log.tick < tick:
                return True
            if around.publisher.acked(order.peer) < tick:
                self._publish_last()
                return True
            order.given = True
            if order.next is None:
                around.consensus.switch_to(order.peer)
            else:
                around.consensus.submit(self.term, Seal(self.term, tick, order.next))
        elif order.next is None and now > order.deadline:
            around.consensus.switch_to(None)
            return self._give_up(order)
        return True  # a seal cannot be taken back: it is in the log, or the leadership is lost

    def _give_up(self, order: Order) -> bool:
        self.order = None
        order.finish(Outcome.FAILED)
        return False

    def _publish_last(self) -> None:
        """Back-pressure may have skipped the last tick, and a joining replica must learn of its commit."""
        around = self._around
        if around.publisher.tick < around.state.tick:
            self._publish()
        around.publisher.watermark(self.term, around.log.tick)

    def committed(self, tick: int) -> None:
        """A tick of this leadership is committed. Raft thread."""
        submitted = self._submitted.pop(tick, None)
        if submitted is not None:
            self._around.meters.commits.observe(time.perf_counter() - submitted)
        self.ledger.committed(tick, self.term)

    def end(self) -> None:
        """The leadership is over. Raft thread first, then the replica thread, which may just have admitted more."""
        self.ledger.abandon()
        self._around.inbox.interrupt()
        if self.order is not None:
            self.order.finish(Outcome.DONE)
