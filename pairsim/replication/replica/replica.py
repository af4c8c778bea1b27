"""One replica of an area: active or passive, as Raft has it.

`run_once` is all that the replica thread does, in an endless loop; it takes the time as an argument, so that
the virtual-time simulation drives the same code.

Takeover: the state is carried on to the last committed tick by the retained records and the same `step`, its
digests are checked, and the next tick follows at once. A replica that ran ahead of the commit when it lost its
leadership keeps that state only if just those ticks get committed; otherwise it waits for a keyframe, or goes
back to its checkpoint when there is nobody to send one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import structlog

from pairsim.model.area import AreaSpec
from pairsim.model.authority import Authority
from pairsim.model.command_schema import CommandSchema
from pairsim.model.simulation.simulator import Simulator
from pairsim.model.simulation.tick import advance, populate_initial
from pairsim.model.state.table import Table
from pairsim.model.status import Succession
from pairsim.replication.checkpoint.format import Checkpoint
from pairsim.replication.clock import monotonic
from pairsim.replication.log.records import Seal, Tick, decode_record
from pairsim.replication.log.tick_log import TickLog
from pairsim.replication.measurements import Meters
from pairsim.replication.replica.active import MAX_AHEAD, Active, Consensus, Surroundings
from pairsim.replication.replica.active_gap import Gap
from pairsim.replication.replica.inbox import Inbox
from pairsim.replication.replica.tick_rate_monitor import Pace
from pairsim.replication.service import Published
from pairsim.replication.sync.follower import Follower
from pairsim.replication.sync.publisher import StatePublisher
from pairsim.replication.sync.self_check import Audit
from pairsim.replication.sync.state import State

log = structlog.get_logger()

_IDLE = 0.05
_ALONE = 1.0
"""Seconds without a keyframe after which an invalid state is rebuilt from the checkpoint."""


class Disk(Protocol):
    """Checkpoints of this replica."""

    @property
    def durable(self) -> int:
        """The tick of the newest one that is safely written; 0 if there is none."""

    def load(self) -> Checkpoint | None:
        """The newest one."""

    def offer(
        self,
        table: Table,
        tick: int,
        term: int,
        digest: int,
        now: float,
        *,
        rejected: Mapping[int, str],
        urgent: bool,
    ) -> None:
        """Writes one, if it is time or urgent, and the last one is finished; copies what it needs before it returns."""


class Takeover(Protocol):
    """Told of every takeover; replica thread."""

    def __call__(self, *, term: int, tick: int, replayed: int) -> None:
        """The replica is active at `tick`, of which it had to replay the last `replayed`."""


class Replica:
    """See the module. Raft thread: the listener's and leadership's methods. Replica thread: `run_once`."""

    def __init__(
        self,
        spec: AreaSpec,
        simulator: Simulator,
        ticks: TickLog,
        *,
        consensus: Consensus,
        disk: Disk,
        inbox: Inbox,
        wake: Callable[[], None],
    ) -> None:
        """An area's newcomer or founder has no state; see `found` and `resume`."""
        self.spec, self.simulator, self.log = spec, simulator, ticks
        self.state = State(Table(simulator.components))
        self.meters = Meters()
        self.pace = Pace(spec.tick_rate)
        self.publisher = StatePublisher(simulator.components, self.meters)
        audit = Audit(spec, simulator, ticks, self.state)
        self.follower = Follower(self.state, ticks, lambda: disk.durable, audit)
        self.active: Active | None = None
        self.published: Published | None = None
        self.on_publish: Callable[[Published | None], None] = lambda _published: None
        self.on_takeover: Takeover | None = None
        self.on_sealed: Callable[[Seal], None] = lambda _seal: None
        self._wake, self._disk = wake, disk
        self._around = Surroundings(
            spec,
            simulator,
            CommandSchema(simulator.components, simulator.operations),
            self.state,
            ticks,
            inbox,
            self.publisher,
            consensus,
            self.meters,
            lambda: disk.durable,
        )
        self.gap = Gap()
        self._leading: int | None = None
        self.succession: Succession | None = None
        self._led = 0
        self._rejected: tuple[int, Mapping[int, str]] = (0, {})
        self._invalid_since: float | None = None
        ticks.listener = self

    # --- before the threads start

    def found(self) -> None:
        """Makes the state at tick 0; the same on every founder."""
        table = Table(self.simulator.components)
        populate_initial(self.simulator, table, self.spec)
        self.state.replace(table, 0)

    def resume(self) -> bool:
        """Takes the newest checkpoint; False if there is none."""
        checkpoint = self._disk.load()
        if checkpoint is None:
            return False
        self.state.replace(checkpoint.table, checkpoint.tick)
        self._rejected = checkpoint.tick, checkpoint.rejected
        return True

    # --- Raft thread

    def capable(self) -> bool:
        """Whether the log leads from the state to the last committed tick; the active itself is ahead of it."""
        if self.active is not None and self.active.term == self._leading:
            return True
        return self.state.trusted and self.log.reaches(self.state.tick)

    def opened(self, term: int, succession: Succession | None) -> None:
        """This replica is the active of the term."""
        self._leading, self.succession = term, succession
        self._wake()

    def closed(self) -> None:
        """It is not any more: what was computed and not committed is in doubt."""
        self.state.doubt, self._leading = self._leading, None
        active = self.active
        if active is not None:
            active.end()
        self._wake()

    def on_open(self, term: int) -> None:
        """A term was opened, by whomever."""
        self._wake()

    def on_tick(self, record: Tick, payload: bytes) -> None:
        """A tick is committed."""
        change = self.gap.commit(record.term, monotonic())
        self.follower.expect(record.tick - 1, record.digest)
        active = self.active
        if active is not None and active.term == record.term:
            active.committed(record.tick)
            if change is not None and change[0] != self._led:
                self.meters.became_active(change[1], handed=self.succession is Succession.HANDED_OVER)
            self._led = record.term
        self.state.notify()
        if self._leading is not None or not self.state.trusted or self.follower.ready():
            self._wake()

    def on_grant(self, authority: Authority) -> None:
        """An authority is in force."""
        self.on_publish(None)

    def on_seal(self, seal: Seal) -> None:
        """The generation is over."""
        self.on_sealed(seal)

    # --- replica thread

    def run_once(self, now: float) -> float:
        """Does what is due; returns when to come again, at the latest."""
        leading = self._leading
        if self.active is not None and self.active.term != leading:
            self._retire()
        if self.active is None and leading is not None:
            self._take_over(leading, now)
        if self.active is not None:
            due = self.active.run_once(now)
            self.pace.observe(now, self.state.tick, self.meters.ticks.seconds)
        else:
            self._follow(now)
            due = now + _IDLE
        self._publish()
        state = self.state
        if state.trusted and state.tick <= self.log.tick and (digest := state.digest(state.tick)) is not None:
            # What the log does not reach is of no use after a restart; a newcomer's first state is such a case.
            urgent = not self.log.reaches(self._disk.durable)
            rejected = self._rejected_now()
            self._disk.offer(state.table, state.tick, self.log.term, digest, now, rejected=rejected, urgent=urgent)
        return due

    def _retire(self) -> None:
        """The active becomes passive."""
        active, self.active = self.active, None
        self.pace = Pace(self.spec.tick_rate)
        if active is not None:
            active.end()
            self._rejected = self.state.tick, active.last_rejected
            self.publisher.forget()

    def _take_over(self, term: int, now: float) -> None:
        self._settle_doubt()
        self.follower.run_once()
        if not self.capable():
            return  # the group sees it too, and looks for another one
        replayed = 0
        for payload in self.log.payloads_after(self.state.tick):
            self._replay(payload)
            replayed += 1
        self.active = Active(term, self._around, self._rejected_now(), now)
        self.meters.leaderships += 1
        self.meters.replayed += replayed
        if self.on_takeover is not None:
            self.on_takeover(term=term, tick=self.state.tick, replayed=replayed)

    def _rejected_now(self) -> Mapping[int, str]:
        """What was rejected in the tick that the state is at."""
        if self.active is not None:
            return self.active.last_rejected
        tick, told = self.follower.rejected
        if tick == self.state.tick:
            return {rejection.index: rejection.reason for rejection in told}
        return self._rejected[1] if self._rejected[0] == self.state.tick else {}

    def _replay(self, payload: bytes) -> None:
        """Runs a committed tick again."""
        record = decode_record(payload)
        if not isinstance(record, Tick):
            raise TypeError(f"a retained record is a {type(record).__name__}")
        mine = self.state.digest(record.tick - 1)
        if mine != record.digest:
            self.state.divergences += 1
            log.error("the state diverged before the takeover", tick=record.tick - 1)
        with self.state.lock:
            rejected = advance(self.simulator, self.state.table, record.commands, record.tick, self.spec)
            self.state.at(record.tick)
        self._rejected = record.tick, rejected

    def _follow(self, now: float) -> None:
        self._settle_doubt()
        self.follower.run_once()
        if self.state.trusted:
            self._invalid_since = None
        elif self._invalid_since is None:
            self._invalid_since = now
        elif now - self._invalid_since > _ALONE:
            self._invalid_since = now
            if self.resume():
                log.info("went back to the checkpoint", tick=self.state.tick)

    def _settle_doubt(self) -> None:
        """Ticks of a lost leadership are what they were if the log has them under its term."""
        state, term = self.state, self.state.doubt
        if term is None or self.log.tick < state.tick:
            return
        first = max(state.tick - MAX_AHEAD, 0)
        state.valid = state.valid and self.log.reaches(first)
        for payload in self.log.payloads_after(first)[: state.tick - first]:
            record = decode_record(payload)
            if isinstance(record, Tick) and record.term > term:
                state.valid = False
        state.doubt = None

    def _publish(self) -> None:
        state = self.state
        if not state.trusted or state.tick > self.log.tick:
            return
        published = Published(self.log.term, state.tick)
        if published != self.published:
            self.published = published
            self.on_publish(published)
