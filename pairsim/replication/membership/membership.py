"""The membership of a process in an area, from generation to generation.

A generation is a Raft group of fixed members. It ends with a *seal*: a committed record that names the members of the
next generation. A member that applies the seal opens the next group, which starts with the tick log and the term of
the sealed one, so that the fence never goes back. The sealed group keeps running as the *draining group*, across
restarts, until every survivor has been linked in the next generation, so that a member that was away still learns the
seal from the log. A process that is not a member any more learns it at the handshake (`on_superseded`), from members
that know that the later generation is in force.

Invariant: the journal of the next group is complete, and the assignment on disk, before the member sends anything in
that group; a member that has a journal of a generation never starts that generation anew. A survivor that votes
continues by the seal alone: as a newcomer it would take its vote and its log out of both groups at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from pairsim.model.assignment import Assignment
from pairsim.replication.log.records import Order, Seal, Tick
from pairsim.replication.log.tick_log import TickLog, TickLogListener
from pairsim.replication.membership.draining import DRAINING_TURN_SECONDS, DrainingGroup
from pairsim.replication.patience import ProcessorWaits
from pairsim.replication.raft.journal import Journal
from pairsim.replication.raft.node import RaftNode
from pairsim.replication.raft.ports import LeadershipListener, Transport
from pairsim.settings import Timing

log = structlog.get_logger()


class GroupResources(Protocol):
    """The network and the disk under a membership: real ones, or simulated ones."""

    def open_transport(self, assignment: Assignment, on_superseded: Callable[[Assignment], None]) -> Transport:
        """Opens links to the members of a generation.

        `on_superseded` takes, in a poll of the transport, the generation that a peer names when it refuses a link.
        """

    def open_journal(self, assignment: Assignment) -> Journal:
        """Opens the journal of a generation; creates it at the first call."""

    def has_journal(self, generation: int) -> bool:
        """Returns whether there is a journal of a generation."""

    def save_assignment(self, assignment: Assignment) -> None:
        """Saves the generation as the one that a restart resumes."""

    def saved_generation(self, generation: int) -> Assignment | None:
        """Returns the members of a generation that still has a journal; None without such a journal."""

    def publish_generation(self, assignment: Assignment) -> None:
        """Names this generation to members of other generations, when they dial, as the one in force."""

    def delete_generation(self, generation: int) -> None:
        """Deletes the journal and the member list of a generation."""

    def redirect(self, assignment: Assignment) -> None:
        """Dials these members at these addresses from now on, in every group of the area."""

    def processor_waits(self) -> ProcessorWaits:
        """Returns the meter of this process's waits for a processor."""


class Membership:
    """A member of one area. The Raft thread drives it, except where a method says otherwise.

    It is the tick log's listener: it passes applied records to its own listeners and acts on seals.

    Attributes:
        assignment: The generation that this process is in. Any thread may read it.
        group: The Raft group of that generation. Any thread may read it.
    """

    def __init__(
        self,
        me: str,
        assignment: Assignment,
        *,
        ticks: TickLog,
        listeners: Sequence[TickLogListener],
        leadership: LeadershipListener,
        resources: GroupResources,
        timing: Timing,
        on_retired: Callable[[], None],
    ) -> None:
        """Opens a generation: resumes it if there is a journal of it, otherwise as an initial member or newcomer.

        The listeners learn, in their order, of the records that are applied from then on: the journal's snapshot, which
        may hold a seal, is restored before.
        """
        self.me, self.assignment = me, assignment
        self._ticks, self._leadership, self._resources, self._timing = ticks, leadership, resources, timing
        self._listeners, self._on_retired = listeners, on_retired
        self._next: Assignment | None = None
        self._superseded_by: Assignment | None = None
        self._readdressed: Assignment | None = None
        self._draining: DrainingGroup | None = None
        self._retired = False
        self._published = 0
        resources.save_assignment(assignment)
        self.group = self._open_group(assignment, resources.open_journal(assignment), ticks)
        ticks.listener = self
        if ticks.sealed is not None:
            self._next = ticks.sealed.next
        previous = resources.saved_generation(assignment.generation - 1)
        if previous is not None:
            self._reopen_sealed(previous)

    def _open_group(self, assignment: Assignment, journal: Journal, ticks: TickLog) -> RaftNode:
        return RaftNode(
            self.me,
            frozenset(m.replica for m in assignment.members()) - {self.me},
            transport=self._resources.open_transport(assignment, self.on_superseded),
            journal=journal,
            state_machine=ticks,
            leadership=self._leadership,
            timing=self._timing.of_area(assignment.spec),
            witness=assignment.witness.replica == self.me,
            waits=self._resources.processor_waits(),
        )

    def commit_known_from_log(self) -> bool:
        """Returns whether this member's log shows the commit. Any thread.

        The log of a newcomer does so only once the newcomer has caught up and votes.
        """
        return self.me not in self.assignment.joins or self.group.voter

    def on_superseded(self, assignment: Assignment) -> None:
        """Notes that a peer names another generation as the one in force. Any thread.

        The next turn acts on it: a group cannot be closed in the middle of its own turn.
        """
        self._superseded_by = assignment
        self.wake()

    def readdress(self, assignment: Assignment) -> None:
        """Notes the present addresses of the members of this generation. Any thread; the next turn acts on it.

        Nothing but addresses is taken from the assignment.
        """
        self._readdressed = assignment
        self.wake()

    def wake(self) -> None:
        """Ends the wait of a turn. Any thread."""
        self.group.call_soon(lambda: None)

    # --- TickLogListener

    def on_open(self, term: int) -> None:
        """Tells the listeners that a term was opened."""
        for listener in self._listeners:
            listener.on_open(term)

    def on_tick(self, record: Tick, payload: bytes) -> None:
        """Tells the listeners that a tick is committed."""
        for listener in self._listeners:
            listener.on_tick(record, payload)

    def on_order(self, order: Order) -> None:
        """Tells the listeners that an order about engines is in force."""
        for listener in self._listeners:
            listener.on_order(order)

    def on_seal(self, seal: Seal) -> None:
        """Tells the listeners that the generation is over; the turn that is running enters the next one."""
        for listener in self._listeners:
            listener.on_seal(seal)
        self._next = seal.next
        self.wake()

    # --- turns

    def turn(self, wait: float) -> None:
        """Runs one turn of the group, which waits at most `wait` seconds, then acts on seals and later generations.

        The wait is short while there is a draining group, since that group's messages do not end it.
        """
        if self._retired:
            return
        self.group.turn(wait if self._draining is None else min(wait, DRAINING_TURN_SECONDS))
        self._publish()
        self._turn_draining()
        if self._next is not None:
            following, self._next = self._next, None
            if following.generation > self.assignment.generation:
                self._enter_next(following)
        if self._superseded_by is not None:
            named, self._superseded_by = self._superseded_by, None
            self._compare_with(named)
        if self._readdressed is not None:
            told, self._readdressed = self._readdressed, None
            self._take_addresses(told)

    def _take_addresses(self, told: Assignment) -> None:
        """Stores the addresses of members, and dials the members there.

        An address does not identify a member: the process that answers there proves the secret and its name.
        """
        following = self.assignment.readdressed(told.members())
        if self._retired or not self.assignment.has_members_of(told) or following == self.assignment:
            return
        self._resources.save_assignment(following)
        self.assignment = following
        self._resources.redirect(following)
        if self._published == following.generation:
            self._resources.publish_generation(following)
        log.info("members have other addresses", area=following.spec.area, generation=following.generation)

    def _publish(self) -> None:
        """Publishes the generation once it is known to be in force: a newcomer joins before the seal is committed."""
        generation = self.assignment.generation
        if self._published != generation and (self.group.voter or self.group.term > 0):
            self._published = generation
            self._resources.publish_generation(self.assignment)

    def _turn_draining(self) -> None:
        if self._draining is None:
            return
        survivors = frozenset(m.replica for m in self.assignment.members()) - {self.me, *self.assignment.joins}
        if self._draining.turn(self.group.links, survivors):
            self._close_draining()

    def close(self) -> None:
        """Leaves all groups; their files stay."""
        self.group.close()
        if self._draining is not None:
            self._draining.close()
            self._draining = None

    def _enter_next(self, following: Assignment) -> None:
        """Goes from the sealed generation to the next one."""
        if following.member(self.me) is None:
            self._retire()
            return
        was_active = self.group.open_term is not None
        self._close_draining()
        self._draining = DrainingGroup(self.group, self.assignment.generation)
        journal = self._resources.open_journal(following)
        with self._ticks.lock:
            self._ticks.unseal()
            if journal.blank:
                self._seed(journal)
        self._resources.save_assignment(following)
        self.assignment = following
        self.group = self._open_group(following, journal, self._ticks)
        if was_active:
            self.group.campaign()
        log.info("generation opened", area=following.spec.area, generation=following.generation)

    def _seed(self, journal: Journal) -> None:
        """Starts a journal with this log and term; a survivor of the generation before votes at once."""
        journal.bootstrap(self._ticks.snapshot(), self._ticks.term)

    def _compare_with(self, named: Assignment) -> None:
        """Acts on the generation that a peer names as the one in force.

        An earlier one: that peer may have missed the seal, so the sealed group is opened again. A later one: it began
        while this member was away, so this member joins it as a newcomer, or retires if it is not among its members.
        """
        if self._retired or named.generation == self.assignment.generation:
            return
        if named.generation < self.assignment.generation:
            self._reopen_sealed(named)
            return
        if named.member(self.me) is None:
            self._retire()
            return
        follows = named.generation == self.assignment.generation + 1 and self.me not in named.joins
        if follows and self.group.voter:
            return  # the draining group of that peer replicates the seal
        self._close_draining()
        old = self.assignment.generation
        self.group.close()
        self._resources.save_assignment(named)
        self.assignment = named
        self.group = self._open_group(named, self._resources.open_journal(named), self._ticks)
        self._resources.delete_generation(old)

    def _reopen_sealed(self, old: Assignment) -> None:
        """Opens a sealed group again after a restart: a survivor may not have learned of the seal."""
        if self._draining is None and self._resources.has_journal(old.generation):
            old = old.readdressed(self.assignment.members())
            # With a tick log of its own: the group applies again what this member's log is past, the seal above all.
            group = self._open_group(old, self._resources.open_journal(old), TickLog())
            self._draining = DrainingGroup(group, old.generation)

    def _close_draining(self) -> None:
        if self._draining is not None:
            self._draining.close()
            self._resources.delete_generation(self._draining.generation)
            self._draining = None

    def _retire(self) -> None:
        """Leaves the area for good: its next generation has other members."""
        self._retired = True
        self.close()
        self._on_retired()
