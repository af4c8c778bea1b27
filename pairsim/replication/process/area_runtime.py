"""A replica at work: the threads around `Member` and `Replica`, and what clients ask of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from pairsim.model.assignment import Assignment
from pairsim.model.assignment import Member as Peer
from pairsim.model.authority import Authority
from pairsim.model.command_schema import CommandSchema
from pairsim.model.simulation.error_location import source_files
from pairsim.replication.checkpoint.store import CheckpointDisk
from pairsim.replication.clock import monotonic
from pairsim.replication.log.records import Grant, Record, Seal
from pairsim.replication.log.tick_log import TickLog
from pairsim.replication.measurements import Meters
from pairsim.replication.membership.membership import Member
from pairsim.replication.process.fatal import die
from pairsim.replication.process.group_resources import AreaSurface, Switchboard, area_folder
from pairsim.replication.replica.active import Order, Outcome
from pairsim.replication.replica.inbox import Inbox
from pairsim.replication.replica.replica import Replica
from pairsim.replication.replica.warmup import rehearsed, telling
from pairsim.replication.service import NotActiveError, RefusedError, Switchover
from pairsim.replication.sync.messages import KEYFRAME
from pairsim.replication.sync.stream import StreamClient, serve
from pairsim.settings import ProcessSettings

log = structlog.get_logger()

_JOIN = 5.0
_SEAL_PATIENCE = 5.0


class Runtime:
    """One area in this process."""

    def __init__(
        self,
        settings: ProcessSettings,
        assignment: Assignment,
        board: Switchboard,
        *,
        on_change: Callable[[], None],
        on_retired: Callable[[], None],
    ) -> None:
        """Prepares the simulator (which may take seconds), then joins the generation.

        Raises:
            SimulatorError: The simulator cannot simulate this area. Nothing was joined.
        """
        spec = assignment.spec
        self.settings, self.spec = settings, spec
        self._board, self._on_change = board, on_change
        folder = area_folder(settings.data, spec.area)
        simulator = rehearsed(spec)
        self.command_schema = CommandSchema(simulator.components, simulator.operations)
        self.inbox = Inbox(settings.inbox_commands)
        self.log = TickLog(Authority(area=spec.area, epoch=1, bounds=spec.bounds))
        self._disk = CheckpointDisk(folder, spec.area, simulator.components, settings.checkpoint_seconds)
        self._awake = threading.Event()
        self._closed = threading.Event()
        self.replica = Replica(
            spec, simulator, self.log, consensus=self, disk=self._disk, inbox=self.inbox, wake=self._awake.set
        )
        surface = AreaSurface(folder, settings, board, self._superseded)
        resuming = surface.has_journal(assignment.generation)
        if not (resuming and self.replica.resume()) and assignment.generation == 1:
            with telling(spec, type(simulator)):
                self.replica.found()
        self.member = Member(
            settings.name,
            assignment,
            ticks=self.log,
            leadership=self.replica,
            surface=surface,
            timing=settings.timing,
            on_retired=on_retired,
        )
        self.replica.follower.by_log = self.member.by_log
        self.replica.on_sealed = self._sealed
        self._stream = StreamClient(
            self.replica.follower,
            me=settings.name,
            area=spec.area,
            secret=settings.secret,
            timing=settings.timing,
            source=self._source,
            wake=self._awake.set,
        )
        board.set_stream(spec.area, lambda link, hello: serve(link, hello, self.replica.publisher))
        self._threads = [
            threading.Thread(target=self._raft_loop, name="raft", daemon=True),
            threading.Thread(target=self._replica_loop, name="replica", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    # --- loops

    def _raft_loop(self) -> None:
        before: tuple[object, ...] = ()
        try:
            while not self._closed.is_set():
                self.member.turn(self.settings.timing.ping)
                group = self.member.group
                ready = self.replica.capable(), self.peer_in_sync()
                now = (group.leader, group.term, group.open_term, group.links, group.voter, ready)
                if now != before:
                    before = now
                    self._on_change()
        except Exception as error:  # noqa: BLE001 - whatever it is, half a replica is worse than none
            die("the Raft thread failed", error)

    def _replica_loop(self) -> None:
        try:
            while not self._closed.is_set():
                due = self.replica.run_once(monotonic())
                self._awake.wait(max(0.0, due - monotonic()))
                self._awake.clear()
        except Exception as error:  # noqa: BLE001 - whatever it is, half a replica is worse than none
            die("the replica thread failed", error, source_files(type(self.replica.simulator)))

    def close(self) -> None:
        """Leaves; ends the threads."""
        self._board.drop(self.spec.area)
        self._closed.set()
        self._awake.set()
        self.member.wake()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(_JOIN)
        self.member.close()
        self._stream.close()
        self._disk.close()

    # --- Consensus

    def submit(self, term: int, record: Record) -> None:
        """See `Consensus`."""
        self.member.group.submit(term, record, lambda: None)

    def switch_to(self, peer: str | None) -> None:
        """See `Consensus`."""
        self.member.group.switch_to(peer)

    def voters(self) -> frozenset[str]:
        """See `Consensus`."""
        return self.member.group.voters()

    def companions(self) -> frozenset[str]:
        """See `Consensus`."""
        return self.member.group.links & {m.replica for m in self.member.assignment.replicas}

    # --- generations

    def _superseded(self, assignment: Assignment) -> None:
        self.member.supersede(assignment)

    def _sealed(self, seal: Seal) -> None:
        self.member.sealed(seal)

    def advance_to(self, assignment: Assignment) -> None:
        """As the active: opens the next generation as soon as its newcomers are in sync."""
        active = self.replica.active
        if active is None or active.order is not None:
            return
        newcomers = [m.replica for m in assignment.replicas if m.replica in assignment.joins]
        peer = newcomers[0] if newcomers else self.other().replica
        active.order = Order(peer, assignment, monotonic() + _SEAL_PATIENCE)
        self._awake.set()

    def _source(self) -> tuple[str, str, int] | None:
        if self.replica.active is not None:
            return None
        other = self.other()
        return other.replica, other.peer, self.member.assignment.generation

    def other(self) -> Peer:
        """The other replica of the pair."""
        first, second = self.member.assignment.replicas
        return second if first.replica == self.settings.name else first

    # --- orders of clients and the controller

    def leader(self) -> Peer | None:
        """The active; None while nobody is known to be."""
        group = self.member.group
        if group.open_term is not None:
            return self.member.assignment.member(self.settings.name)
        name = group.leader
        if name is None or name == self.settings.name or name not in group.links:
            return None
        peer = self.member.assignment.member(name)
        return None if peer is None or peer == self.member.assignment.witness else peer

    def switchover(self, timeout: float) -> Switchover:
        """Hands over to the passive."""
        active = self.replica.active
        if active is None:
            raise NotActiveError(self.leader())
        if active.order is not None:
            raise RefusedError("the area is being handed over already: wait until it is done")
        peer, term = self.other().replica, active.term
        if not self.peer_in_sync():
            raise RefusedError(f"the passive {peer} is not in sync: wait until the area is redundant")
        order = Order(peer, None, monotonic() + timeout)
        active.order = order
        self._awake.set()
        order.finished.wait(timeout + 1.0)
        if order.outcome is not Outcome.DONE:
            raise TimeoutError(f"the passive {peer} did not take over in time; this replica goes on")
        return self.replica.gap.wait(term, timeout)

    def authorise(self, authority: Authority, timeout: float) -> None:
        """Commits an authority grant."""
        active = self.replica.active
        if active is None:
            raise NotActiveError(self.leader())
        if authority.epoch < self.log.authority.epoch:
            raise RefusedError(f"epoch {authority.epoch} is lower than {self.log.authority.epoch}, the one in force")
        self.submit(active.term, Grant(active.term, authority))
        deadline = time.monotonic() + timeout
        while self.log.authority != authority:
            if time.monotonic() > deadline:
                raise TimeoutError("the grant was not committed in time")
            time.sleep(0.001)

    def measured(self) -> Meters:
        """The meters, with what only a look tells."""
        meters = self.replica.meters
        acked = self.replica.publisher.acked(self.other().replica) if self.replica.active is not None else KEYFRAME
        meters.lag = max(0, self.log.tick - acked) if acked != KEYFRAME else None
        meters.inbox, meters.tick_rate = self.inbox.waiting, self.spec.tick_rate
        meters.voters = len(self.member.group.voters()) + self.member.group.voter
        return meters

    def peer_in_sync(self) -> bool:
        """As the active: whether the passive could take over."""
        active = self.replica.active
        if active is None:
            return False
        group, peer = self.member.group, self.other().replica
        ping = group.peer_ping(peer)
        acked = self.replica.publisher.acked(peer)
        return (
            ping is not None
            and not ping.quarantined
            and ping.capable
            and self.log.reaches(acked)
            and self.member.assignment.witness.replica in group.voters()
        )
