"""One replica of an area: active or passive, as its Raft group decides.

`run_once` is all that the replica thread does, in an endless loop. It takes the time as an argument, so that the
virtual-time simulation drives the same code.

Takeover: the retained records and the same `step` carry the state on to the last committed tick, its digests are
checked, and the next tick follows at once. A replica that ran ahead of the commit when it lost its leadership has
*unconfirmed* ticks: it keeps that state only if exactly those ticks are committed. Otherwise it waits for a keyframe,
or returns to its checkpoint when no peer sends one.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from pairsim.engine.port import Engine, EngineError
from pairsim.model.area import AreaSpec
from pairsim.model.command_schema import CommandSchema
from pairsim.model.status import Succession
from pairsim.replication.clock import monotonic
from pairsim.replication.links.exchange import LinkExchange
from pairsim.replication.log.records import Order, Seal, Tick, decode_record
from pairsim.replication.log.tick_log import TickLog
from pairsim.replication.measurements import ReplicaMeasurements
from pairsim.replication.replica.active import MAX_AHEAD, Active, ReplicaContext
from pairsim.replication.replica.active_gap import ActiveGap
from pairsim.replication.replica.engine.failures import EngineFailures
from pairsim.replication.replica.engine.in_use import EngineInUse
from pairsim.replication.replica.engine.orders import EngineOrders
from pairsim.replication.replica.engine.shown_tick import ShownTick
from pairsim.replication.replica.inbox import Inbox
from pairsim.replication.replica.outside_counter import OutsideCounter
from pairsim.replication.replica.perception import Perception
from pairsim.replication.replica.ports import Consensus, Disk, ReplicaListener
from pairsim.replication.replica.tick_rate_monitor import TickRateMonitor
from pairsim.replication.service import Published
from pairsim.replication.standing import Standing
from pairsim.replication.sync.area_tick import AreaAdvance
from pairsim.replication.sync.follower import Follower
from pairsim.replication.sync.publisher import StatePublisher
from pairsim.replication.sync.self_check import SelfCheck
from pairsim.replication.sync.simulator_calls import SimulatorCalls
from pairsim.replication.sync.state import ReplicaState, compare_digest, newest_borders, resolve_unconfirmed

log = structlog.get_logger()

_IDLE_SECONDS = 0.05
"""The longest pause between two looks of a passive."""

_KEYFRAME_WAIT_SECONDS = 1.0
"""The time without a keyframe after which an invalid state is rebuilt from the checkpoint."""


class Replica:
    """The state of an area and its role.

    The Raft thread calls the methods of the two listener protocols, the replica thread calls `run_once`.

    Attributes:
        due: When the next turn of the replica thread has to begin; while a turn is under way, when that began.
    """

    def __init__(
        self,
        spec: AreaSpec,
        engine: Engine,
        ticks: TickLog,
        *,
        consensus: Consensus,
        disk: Disk,
        inbox: Inbox,
        room: Callable[[], int],
        commit_known_from_log: Callable[[], bool],
        listener: ReplicaListener,
    ) -> None:
        """Creates a replica without a state; an initial member calls `initialise` or `restore_checkpoint` next.

        Args:
            spec: The area.
            engine: Its simulator.
            ticks: The tick log of the group.
            consensus: The Raft group.
            disk: The checkpoints.
            inbox: The batches that wait for a tick.
            room: Returns how many entities the table may have when others arrive.
            commit_known_from_log: Returns whether the own log shows the commit (see `Follower`).
            listener: The driver.
        """
        self.spec, self.log = spec, ticks
        self.shown = ShownTick(ticks, disk, lambda: self.state.confirmed)
        self.state = ReplicaState(spec.area, engine.table, self.shown.on_state)
        self.measurements = measured = ReplicaMeasurements()
        self.links = LinkExchange(lambda: self.state.borders, room, tick_rate=spec.tick_rate, measurements=measured)
        self.tick_rate_monitor = TickRateMonitor(spec.tick_rate)
        self.publisher = StatePublisher(engine.components, self.measurements)
        self.calls = SimulatorCalls(spec, engine, lambda: self.revision)
        self.failures = EngineFailures(spec.area, engine.code, lambda: ticks.orders.code)
        other_code = lambda: self.failures.has_other_code  # noqa: E731
        advance = AreaAdvance(self.calls)
        self_check = SelfCheck(self.calls, advance, engine.check_table, ticks, self.state, other_code)
        self._engine = EngineInUse(
            spec.area, engine, state=self.state, calls=self.calls, self_check=self_check, failures=self.failures,
            listener=listener, ticks=ticks,
        )  # fmt: skip
        self.orders = EngineOrders(
            spec.area, ticks, state=self.state, failures=self.failures, engine=self._engine, consensus=consensus,
            durable=lambda: disk.durable,
        )  # fmt: skip
        self.follower = Follower(self.state, ticks, lambda: disk.durable, self_check, commit_known_from_log)
        self.active: Active | None = None
        self.published: Published | None = None
        self._authority = self.state.authority(0)
        self._listener, self._disk, self._consensus = listener, disk, consensus
        self._context = ReplicaContext(
            spec, self.calls, advance, Perception(spec.simulator, self.calls, lambda: self.command_schema),
            self.failures, self.state, ticks, inbox, self.links, self.publisher, consensus, self.measurements,
            self.shown, self._engine, lambda: disk.durable,
        )  # fmt: skip
        self.active_gap, self.outside = ActiveGap(), OutsideCounter(spec.world)
        self._leading_term: int | None = None
        self._handing_to: str | None = None
        self.succession: Succession | None = None
        self._last_led_term = 0
        self._invalid_since: float | None = None
        self.due = 0.0

    # --- before the threads start

    def initialise(self) -> None:
        """Creates the state at tick 0, which is the same on every initial member. Raises EngineError."""
        self._engine.current.populate()
        self.state.begin()

    def restore_checkpoint(self) -> bool:
        """Restores the state from the newest checkpoint; returns False without a checkpoint."""
        checkpoint = self._disk.load()
        if checkpoint is None:
            return False
        self.state.replace(checkpoint.table, checkpoint.borders, checkpoint.tick)
        return True

    # --- any thread

    @property
    def leads(self) -> bool:
        """Whether this replica leads its group: as the active, or on the way to that."""
        return self._leading_term is not None

    @property
    def command_schema(self) -> CommandSchema:
        """Which commands and components are valid here."""
        return self._engine.command_schema

    @property
    def revision(self) -> int:
        """The number of orders about engines in the log."""
        return self.log.orders.revision

    def standing(self) -> Standing:
        """Returns the chance of this replica to compute its next tick."""
        term, reached = self.shown.report()
        standing = self.failures.standing(self.state.tick, self.revision).at(term, reached)
        return standing.renewing(*self.orders.renewal())

    # --- Raft thread

    def can_simulate(self) -> bool:
        """Returns whether this replica simulates its term already, or the log leads from its state to the last tick.

        The state of an active is ahead of the commit, so the log says nothing about it.
        """
        active = self.active  # the replica thread removes it when it steps down
        if active is not None and active.term == self._leading_term:
            return True
        return self.state.confirmed and self.log.reaches(self.state.tick) and self.state.tick >= self.log.orders.floor

    def on_leadership_gained(self, term: int, succession: Succession | None) -> None:
        """Notes that this replica leads the term; the replica thread takes over."""
        self._leading_term, self.succession = term, succession
        self._listener.wake()

    def on_leadership_lost(self) -> None:
        """Notes that this replica leads no more: its ticks that are not committed are unconfirmed from now on."""
        self.state.unconfirmed_term, self._leading_term = self._leading_term, None
        active = self.active
        if active is not None:
            active.end()
        self._listener.wake()

    def on_open(self, term: int) -> None:
        """Wakes the replica thread: a member of the group opened a term."""
        self._listener.wake()

    def on_tick(self, record: Tick, payload: bytes) -> None:
        """Answers, measures and wakes: a tick is committed."""
        change = self.active_gap.commit(record.term, monotonic())
        self.follower.expect_digest(record.tick - 1, record.digest)
        active = self.active
        if active is not None and active.term == record.term:
            active.on_committed(record.tick)
            if change is not None and change[0] != self._last_led_term:
                self.measurements.became_active(change[1], handed=self.succession is Succession.HANDED_OVER)
            self._last_led_term = record.term
        self.state.notify()
        if self._leading_term is not None or not self.state.confirmed or self.follower.ready():
            self._listener.wake()

    def on_order(self, order: Order) -> None:
        """Wakes the replica thread and reports a change of status: a failed tick may be tried again now."""
        self.orders.on_order(order)
        self._listener.wake()
        self._listener.on_publish(None)

    def on_seal(self, seal: Seal) -> None:
        """Does nothing: the membership acts on the end of the generation."""

    # --- replica thread

    def offer_engine(self, engine: Engine) -> None:
        """Hands over an engine in place of the one that failed. Any thread."""
        self._engine.offer(engine)

    def offer_fresh_engine(self, engine: Engine | EngineError) -> None:
        """Hands over an engine beside the one in use, or why none could be started. Any thread."""
        self._engine.offer_fresh(engine)

    def on_engine_end(self, reason: str) -> None:
        """Records that the engine has ended. Any thread."""
        self._engine.on_end(reason)

    def run_once(self, now: float) -> float:
        """Does the work that is due at `now`; returns the latest time of the next call."""
        self.due = now
        self._engine.restore_if_failed(active=bool(self.active))
        self._engine.use_offered()
        tick = self.state.tick + 1
        self._engine.start_if_due(tick, self.revision, now)
        self.orders.run_once(self._leading_term, now, tick=tick, shown=self.shown.tick, at_rest=self._at_rest())
        try:
            self._engine.check()
            due = self._work(now)
        except EngineError as error:
            self._engine.on_error(error, now, revision=self.revision)
            due = now
        self._hand_over_if_better()
        handing = self._handing_to is not None
        self.due = self._engine.restore_later(now, self.revision, active=bool(self.active), handing=handing) or due
        return self.due

    def _hand_over_if_better(self) -> None:
        """Transfers the leadership while the other replica has the better chance to compute the next tick."""
        target = None
        idle = self.active is None or self.active.handover is None
        if self._leading_term is not None and idle and not self.orders.under_way:
            other = self._consensus.other_standing()
            if other is not None and other[1].rank(self.revision) < self.standing().rank(self.revision):
                target = other[0]
        if target != self._handing_to:
            self._handing_to = target
            if self._leading_term is not None:
                self._consensus.transfer_leadership(target)

    def _at_rest(self) -> bool:
        """Returns whether no record of this leadership and no handover is under way."""
        if self._handing_to is not None or not self.state.confirmed:
            return False
        return self.active is None or (self.active.term == self._leading_term and self.active.at_rest)

    def _work(self, now: float) -> float:
        leading_term = self._leading_term
        if self.active is not None and self.active.term != leading_term:
            self._step_down()
        if self.active is None and leading_term is not None:
            self._take_over(leading_term, now)
        if self.active is not None:
            due = self.active.run_once(now)
            self.tick_rate_monitor.observe(now, self.state.tick, self.measurements.ticks.seconds)
        else:
            self._follow(now)
            due = now + _IDLE_SECONDS
        self.outside.update(now, self.state.table, self.state.authority(self.state.tick).bounds(self.spec.bounds))
        self._show_committed(now)
        return due

    def _show_committed(self, now: float) -> None:
        """Publishes the newest committed state, and writes a checkpoint of it if one is due."""
        if (published := self.newest_committed()) is None:
            return
        if self.active is not None:
            self.links.post(newest_borders(self.state, published.tick), self.active.term)
        if published != self.published:
            self.published = published
            self._listener.on_publish(published)
            before, self._authority = self._authority, self.state.authority(published.tick)
            if self._authority is not before:
                self._listener.on_publish(None)  # the status says which one is in force
        self.checkpoint(published, now)

    def newest_committed(self) -> Published | None:
        """Returns the newest committed tick whose state is here; None if the state is ahead of the commit."""
        term, committed = self.log.position()
        computed = self.state.newest_computed(committed)
        tick = self.state.tick if computed is None else computed.tick
        return Published(term, tick) if tick <= committed and self.state.confirmed else None

    def checkpoint(self, at: Published, now: float) -> None:
        """Starts to write a committed state, if a checkpoint is due. Also once no thread runs any more."""
        if (digest := self.state.digest(at.tick)) is None:
            return
        computed, borders = self.state.newest_computed(at.tick), newest_borders(self.state, at.tick)
        view = self.state.table if computed is None else computed.snapshot
        # A checkpoint that the log does not reach is useless after a restart; a newcomer has none at first.
        durable = self._disk.durable
        urgent = not self.log.reaches(durable) or durable < self.log.orders.floor or self.orders.wants_checkpoint
        self._disk.maybe_write(view, borders, at.tick, at.term, digest, now, urgent=urgent)

    def _step_down(self) -> None:
        """Turns the active into a passive."""
        active, self.active = self.active, None
        self.tick_rate_monitor = TickRateMonitor(self.spec.tick_rate)
        if active is not None:
            active.end()
            self.state.drop_snapshots()
            self.publisher.reset()

    def _take_over(self, term: int, now: float) -> None:
        resolve_unconfirmed(self.state, self.log, MAX_AHEAD)
        self.follower.apply_committed()
        if not self.can_simulate():
            return  # the group sees the same, and looks for another leader
        replayed = 0
        for payload in self.log.payloads_after(self.state.tick):
            if not self.failures.may_compute(self.state.tick + 1, self.revision, now):
                break  # the active replays the rest when its engine can
            if not replayed:
                self.state.take_snapshot(self.state.tick)
            if not self._replay(payload, term):
                self.state.drop_snapshots()
                return
            replayed += 1
        self.active = Active(term, self._context, now)
        self.measurements.leaderships += 1
        self.measurements.replayed += replayed
        self._listener.on_takeover(term=term, tick=self.state.tick, replayed=replayed)

    def _replay(self, payload: bytes, term: int) -> bool:
        """Runs a committed tick again, after a check of the state against the digest in its record.

        Returns False if the leadership of the term, which needs the tick, was over before.
        """
        record = decode_record(payload)
        if not isinstance(record, Tick):
            raise TypeError(f"a retained record is a {type(record).__name__}")
        compare_digest(self.state, record.tick - 1, record.digest)
        with self.state.lock:
            left_out = self.log.orders.left_out(record.tick)
            borders, _refused = self._context.advance.repeat(self.state.table, self.state.borders, record, left_out)
            if not self.shown.compute(record.tick, term):
                self.state.take_back()
                return False
            self.state.borders = borders
            self.state.mark_computed(record.tick, record.tick)
        self.failures.on_computed(record.tick)
        return True

    def _follow(self, now: float) -> None:
        resolve_unconfirmed(self.state, self.log, MAX_AHEAD)
        self.follower.apply_committed()
        if self.state.confirmed:
            self._invalid_since = None
        elif self._invalid_since is None:
            self._invalid_since = now
        elif now - self._invalid_since > _KEYFRAME_WAIT_SECONDS:
            self._invalid_since = now
            if self.restore_checkpoint():
                log.info("restored the checkpoint", tick=self.state.tick)
