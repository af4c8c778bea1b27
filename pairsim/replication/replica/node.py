"""A simulator process's part in one area, without threads: membership, replica, inbox and tick log.

This is the one place that composes them. Two drivers run an `AreaNode`: the threads of a process (`AreaRuntime`) and
the virtual-time simulation, so that the simulation tests what a process runs.

One thread, the *Raft thread*, calls `turn_raft` in an endless loop; another, the *replica thread*, calls
`replica.run_once`. The methods here are for any thread, unless they say otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import structlog

from pairsim.engine.port import Engine
from pairsim.model.assignment import Assignment, Member
from pairsim.model.authority import Authority
from pairsim.replication.clock import monotonic
from pairsim.replication.hang_watch import HangWatch
from pairsim.replication.log.records import Record
from pairsim.replication.log.tick_log import TickLog, TickLogListener
from pairsim.replication.measurements import ReplicaMeasurements
from pairsim.replication.membership.membership import GroupResources, Membership
from pairsim.replication.replica.engine.order_request import OrderRequest
from pairsim.replication.replica.handover_request import HandoverRequest
from pairsim.replication.replica.inbox import Inbox
from pairsim.replication.replica.ports import Capacity, Disk, ReplicaListener
from pairsim.replication.replica.replica import Replica
from pairsim.replication.service import FailingTick, NotActiveError, RefusedError
from pairsim.replication.standing import Standing
from pairsim.replication.sync.messages import KEYFRAME
from pairsim.settings import Timing

log = structlog.get_logger()

SEAL_TIMEOUT_SECONDS = 5.0
"""The time in which the newcomers must be in sync after a request to open the next generation; the controller repeats
the request."""


class NodeListener(ReplicaListener, Protocol):
    """What the driver of an area node learns."""

    def on_retired(self) -> None:
        """Handles that the area continues without this process. Raft thread."""


class AreaNode:
    """A replica and its membership. It is the `Consensus` of the replica: it passes records to the current group.

    Attributes:
        spec: The area.
        log: The tick log, which outlives generations.
        inbox: The batches that wait for a tick.
        replica: The state and the role.
        membership: The generation and its Raft group.
    """

    def __init__(
        self,
        me: str,
        assignment: Assignment,
        *,
        engine: Engine,
        resources: GroupResources,
        checkpoints: Disk,
        capacity: Capacity,
        timing: Timing,
        listener: NodeListener,
        observers: Sequence[TickLogListener] = (),
    ) -> None:
        """Makes or restores the state, then joins the generation.

        Args:
            me: The name of this process.
            assignment: The generation.
            engine: The area's simulator.
            resources: The network and the journals.
            checkpoints: The checkpoints on disk.
            capacity: How much the replica holds.
            timing: The intervals of the Raft group.
            listener: The driver.
            observers: Listeners that learn of each applied record before the replica does.

        Raises:
            EngineError: The simulator cannot populate the area. No generation was joined.
        """
        spec = assignment.spec
        self._me, self._listener = me, listener
        self.spec = spec
        self.inbox = Inbox(capacity.commands)
        self.log = TickLog()
        self.replica = Replica(
            spec,
            engine,
            self.log,
            consensus=self,
            disk=checkpoints,
            inbox=self.inbox,
            room=capacity.entities,
            commit_known_from_log=self._commit_known_from_log,
            listener=listener,
        )
        resuming = resources.has_journal(assignment.generation)
        restored = resuming and self.replica.restore_checkpoint()
        if not restored and assignment.generation == 1:
            self.replica.initialise()
        self.membership = Membership(
            me,
            assignment,
            ticks=self.log,
            listeners=(*observers, self.replica),
            leadership=self.replica,
            resources=resources,
            timing=timing,
            on_retired=listener.on_retired,
        )
        if not self.log.reaches(self.replica.state.tick) and not restored:
            self.replica.state.discard()  # the state at tick 0 is not that of an area whose log begins later
        self._watch, self._hangs = HangWatch(), False
        self._left_term: int | None = None
        self._without_state = "none of its checkpoints can be read, so its state has to come from an active"
        if not resuming or self.replica.state.valid:
            self._without_state = ""

    @property
    def problem(self) -> str:
        """Why this replica cannot do its part by itself; empty if nothing is known to prevent it."""
        if self._hangs:
            return "its replica thread hangs: restart the process"
        return self.replica.follower.misfit or ("" if self.replica.state.valid else self._without_state)

    def turn_raft(self, wait: float) -> tuple[object, ...]:
        """Runs one turn, which waits at most `wait` seconds; returns the values whose change is a change of status.

        Raft thread.
        """
        self.membership.turn(wait)
        self._watch_replica_thread(monotonic())
        group = self.membership.group
        ready = self.replica.can_simulate(), self.peer_in_sync(), self.replica.calls.observe(monotonic())
        return (
            group.leader,
            group.term,
            group.open_term,
            group.links,
            group.voter,
            ready,
            self.problem,
            self.membership.assignment,
        )

    def _watch_replica_thread(self, now: float) -> None:
        """Hands over to the passive while the replica thread hangs outside of the simulator's code.

        Another replica would hang in the same call of a simulator, so such a call is not its matter.
        """
        replica, group = self.replica, self.membership.group
        call, due = replica.calls.current, replica.due
        before, seen = self._hangs, (id(call), due, replica.state.tick)
        self._hangs = self._watch.observe(seen, due if call is None else math.inf, now)
        if self._hangs is not before:
            log.error("the replica thread hangs" if self._hangs else "the replica thread goes on", area=self.spec.area)
        if not self._hangs:
            if self._left_term is not None and self._left_term == group.open_term:
                group.transfer_leadership(None)
            self._left_term = None
        elif group.open_term not in {None, self._left_term}:
            peer = self.other_replica().replica
            ping = group.peer_ping(peer)
            if ping is not None and ping.capable and peer in group.voters():
                self._left_term = group.open_term
                group.transfer_leadership(peer)

    def wake_replica(self) -> None:
        """Ends the pause of the replica thread."""
        self._listener.wake()

    def _commit_known_from_log(self) -> bool:
        return self.membership.commit_known_from_log()

    # --- Consensus

    def submit(self, term: int, record: Record) -> None:
        """Appends a record to the log, if the term is still open."""
        self.membership.group.submit(term, record, lambda: None)

    def transfer_leadership(self, peer: str | None) -> None:
        """Transfers the leadership once the peer has the whole log; None cancels the transfer."""
        self.membership.group.transfer_leadership(peer)

    def other_standing(self) -> tuple[str, Standing] | None:
        """Returns the name and the standing of the other replica; None if it could not lead now."""
        group, peer = self.membership.group, self.other_replica().replica
        ping = group.peer_ping(peer)
        if ping is None or ping.quarantined or not ping.capable or peer not in group.voters():
            return None
        return peer, ping.standing

    def other_report(self) -> tuple[str, Standing | None]:
        """Returns the name of the other replica, and its newest standing; None while it is not connected."""
        peer = self.other_replica().replica
        ping = self.membership.group.peer_ping(peer)
        return peer, ping.standing if ping is not None else None

    def voters(self) -> frozenset[str]:
        """Returns the names of the linked peers that vote."""
        return self.membership.group.voters()

    def linked_replicas(self) -> frozenset[str]:
        """Returns the names of the linked peers that are replicas."""
        return self.membership.group.links & {m.replica for m in self.membership.assignment.replicas}

    # --- what the node knows

    def leader(self) -> Member | None:
        """Returns the active; None while this member knows of none, or while the witness leads."""
        group, assignment = self.membership.group, self.membership.assignment
        if group.open_term is not None:
            return assignment.member(self._me)
        name = group.leader
        if name is None or name == self._me or name not in group.links:
            return None
        peer = assignment.member(name)
        return None if peer is None or peer == assignment.witness else peer

    def other_replica(self) -> Member:
        """Returns the other replica of the pair."""
        first, second = self.membership.assignment.replicas
        return second if first.replica == self._me else first

    def stream_source(self) -> tuple[str, str, int] | None:
        """Returns name, address and generation of the replica to follow; None while this replica is the active."""
        if self.replica.active is not None:
            return None
        other = self.other_replica()
        return other.replica, other.peer, self.membership.assignment.generation

    def peer_in_sync(self) -> bool:
        """Returns whether this replica is the active and the passive could take over."""
        active = self.replica.active
        if active is None:
            return False
        group, peer = self.membership.group, self.other_replica().replica
        ping = group.peer_ping(peer)
        acked = self.replica.publisher.acked(peer)
        return (
            ping is not None
            and not ping.quarantined
            and ping.capable
            and ping.standing.able
            and self.log.reaches(acked)
            and self.membership.assignment.witness.replica in group.voters()
        )

    def received_bytes(self) -> int:
        """Returns how much has come of what this replica lacks: the log if that is behind the state, else the state."""
        replica = self.replica
        if replica.state.confirmed and replica.state.tick > self.log.tick:
            return self.membership.group.received_snapshot_bytes
        return replica.follower.received_bytes()

    def measure(self) -> ReplicaMeasurements:
        """Returns the replica's measurements, after it has updated those that are read at a scrape."""
        measurements, publisher = self.replica.measurements, self.replica.publisher
        active = self.replica.active is not None
        acked = publisher.acked(self.other_replica().replica) if active else KEYFRAME
        measurements.lag = max(0, self.log.tick - acked) if acked != KEYFRAME else None
        measurements.inbox, measurements.tick_rate = self.inbox.waiting, self.spec.tick_rate
        measurements.borders = self.replica.links.status(self.log.tick) if active else None
        measurements.voters = len(self.membership.group.voters()) + self.membership.group.voter
        return measurements

    # --- requests of clients and the controller

    def request_switchover(self, deadline: float) -> HandoverRequest:
        """Asks the active to hand over to the passive until `deadline`, in monotonic seconds.

        Raises:
            NotActiveError: This replica is not the active.
            RefusedError: Another handover is under way, the area is paused, or the passive is not in sync.
        """
        replica, active = self.replica, self.replica.active
        if not replica.leads:
            raise NotActiveError(self.leader())
        failing = replica.failures.state(replica.state.tick, replica.revision, monotonic())
        if failing is not None:
            raise RefusedError(f"this replica {failing.predicate}; the passive takes over by itself once it can go on")
        if active is None:
            raise RefusedError("this replica is taking over: try again in a moment")
        peer = self.other_replica().replica
        if active.handover is None and not self.peer_in_sync():
            raise RefusedError(f"the passive {peer} is not in sync: wait until the area is redundant")
        request = active.request_handover(peer, None, deadline)
        self._listener.wake()
        return request

    def advance_to(self, assignment: Assignment) -> None:
        """Asks the active to open the next generation as soon as its newcomers are in sync.

        Does nothing on a passive, or while another handover is under way: the controller repeats the assignment.
        """
        active = self.replica.active
        if active is None:
            return
        newcomers = [m.replica for m in assignment.replicas if m.replica in assignment.joins]
        peer = newcomers[0] if newcomers else self.other_replica().replica
        try:
            active.request_handover(peer, assignment, monotonic() + SEAL_TIMEOUT_SECONDS)
        except RefusedError:
            return
        self._listener.wake()

    def request_order(self, command: str | None, *, even_if_seen: bool = False) -> OrderRequest:
        """Asks the leader to leave a command out of the tick that fails; without one, to start the engines again.

        Raises:
            NotActiveError: This replica does not lead.
            RefusedError: Another order is under way.
        """
        if not self.replica.leads:
            raise NotActiveError(self.leader())
        request = self.replica.orders.request(command, even_if_seen=even_if_seen)
        self._listener.wake()
        return request

    def failing_tick(self) -> FailingTick:
        """Returns the tick before which this replica is paused, with its commands.

        Raises:
            NotActiveError: This replica does not lead.
            RefusedError: It is not paused.
        """
        if not self.replica.leads:
            raise NotActiveError(self.leader())
        return self.replica.orders.failing_tick(self.replica.state.tick + 1)

    def submit_grant(self, authority: Authority) -> None:
        """Lets the next tick take in an authority grant, unless it is known; a committed state shows it then.

        Raises:
            NotActiveError: This replica is not the active.
            RefusedError: The area knows a higher version, or other cells of the same one.
        """
        if self.replica.active is None:
            raise NotActiveError(self.leader())
        known = self.replica.state.authority(self.replica.state.tick)
        if authority.version < known.version:
            raise RefusedError(f"version {authority.version} of the map is over: version {known.version} is in force")
        if authority.version == known.version and authority != known:
            raise RefusedError(f"version {known.version} of the map is in force with other cells: send a higher one")
        if authority != known:
            self.replica.links.grants.put(authority)
            self._listener.wake()
