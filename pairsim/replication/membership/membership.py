"""A process's membership in an area, from generation to generation.

A generation is a Raft group of fixed members. It ends with a *seal*: a committed record that names the next
generation's members. Whoever applies it opens the next group, which starts with the tick log and the term of the
sealed one, so that the fence never goes back. The sealed group is kept as a *lame duck*, across restarts, until every
survivor is seen in the next one, so that a member that was away still learns of the seal from the log; who is no member
any more learns it at the handshake (`supersede`), from those who know that the generation is in force.

Invariant: the next group's journal is complete, and the assignment on disk, before anything is said in it; a
member that has a journal of a generation never starts that generation anew. A survivor that votes goes on by the seal
alone: as a newcomer it would take its vote and its log out of both groups at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import structlog

from pairsim.model.assignment import Assignment
from pairsim.replication.clock import monotonic
from pairsim.replication.log.records import Seal
from pairsim.replication.log.tick_log import TickLog
from pairsim.replication.raft.journal import Journal
from pairsim.replication.raft.node import RaftNode
from pairsim.replication.raft.ports import LeadershipListener, Transport
from pairsim.settings import Timing

log = structlog.get_logger()

LAME_DUCK = 2.0
_DUCK_TURN = 0.005


class Surface(Protocol):
    """What a membership stands on: sockets and disk, or simulated ones."""

    def wire(self, assignment: Assignment) -> Transport:
        """Links to the members of a generation."""

    def journal(self, assignment: Assignment) -> Journal:
        """The journal of a generation; a new one if there is none."""

    def has_journal(self, generation: int) -> bool:
        """Whether there is a journal of a generation."""

    def remember(self, assignment: Assignment) -> None:
        """Makes the generation the one that a restart resumes."""

    def former(self, generation: int) -> Assignment | None:
        """An earlier generation of which there still is a journal."""

    def announce(self, assignment: Assignment) -> None:
        """Tells members of other generations, when they ask, that this one is in force."""

    def forget(self, generation: int) -> None:
        """Deletes a generation's journal, and who was in it."""


class Member:
    """See the module. Raft thread, except `supersede` and the attributes."""

    def __init__(
        self,
        me: str,
        assignment: Assignment,
        *,
        ticks: TickLog,
        leadership: LeadershipListener,
        surface: Surface,
        timing: Timing,
        on_retired: Callable[[], None],
    ) -> None:
        """Opens a generation: resumes it if there is a journal of it, else as its founder or newcomer."""
        self.me, self.assignment = me, assignment
        self._ticks, self._leadership, self._surface, self._timing = ticks, leadership, surface, timing
        self._on_retired = on_retired
        self._next: Assignment | None = None
        self._told: Assignment | None = None
        self._lame: tuple[RaftNode, int, float] | None = None
        self._arrived: frozenset[str] = frozenset()
        self._retired = False
        self._announced = 0
        surface.remember(assignment)
        # A seal in the journal's snapshot would be told to those who are not ready for it yet.
        listener, ticks.listener = ticks.listener, None
        self.group = self._group(assignment, surface.journal(assignment), ticks)
        ticks.listener = listener
        if ticks.sealed is not None:
            self._next = ticks.sealed.next
        former = surface.former(assignment.generation - 1)
        if former is not None:
            self._help(former)

    def _group(self, assignment: Assignment, journal: Journal, ticks: TickLog) -> RaftNode:
        return RaftNode(
            self.me,
            frozenset(m.replica for m in assignment.members()) - {self.me},
            transport=self._surface.wire(assignment),
            journal=journal,
            state_machine=ticks,
            leadership=self._leadership,
            timing=self._timing,
            witness=assignment.witness.replica == self.me,
        )

    def by_log(self) -> bool:
        """Whether the log is known to say what is committed: a newcomer's does when it has caught up. Any thread."""
        return self.me not in self.assignment.joins or self.group.voter

    def supersede(self, assignment: Assignment) -> None:
        """A peer says that a later generation is in force. Any thread."""
        self._told = assignment  # not acted on here: a group cannot be closed in the middle of its own turn
        self.wake()

    def wake(self) -> None:
        """Ends the wait of a turn. Any thread."""
        self.group.call_soon(lambda: None)

    def sealed(self, seal: Seal) -> None:
        """The tick log applied a seal."""
        self._next = seal.next
        self.wake()

    def turn(self, wait: float) -> None:
        """One turn of the Raft thread; while there is a lame duck, whose messages end no wait, a short one."""
        if self._retired:
            return
        self.group.turn(wait if self._lame is None else min(wait, _DUCK_TURN))
        self._announce()
        self._turn_lame()
        if self._next is not None:
            following, self._next = self._next, None
            if following.generation > self.assignment.generation:
                self._follow(following)
        if self._told is not None:
            told, self._told = self._told, None
            self._superseded(told)

    def _announce(self) -> None:
        """Speaks of the generation once it is known to be in force: a newcomer is there before the seal is."""
        generation = self.assignment.generation
        if self._announced != generation and (self.group.voter or self.group.term > 0):
            self._announced = generation
            self._surface.announce(self.assignment)

    def _turn_lame(self) -> None:
        if self._lame is None:
            return
        duck, _generation, until = self._lame
        duck.turn(0)
        self._arrived |= self.group.links
        survivors = {m.replica for m in self.assignment.members()} - {self.me, *self.assignment.joins}
        if monotonic() > until and survivors <= self._arrived:
            self._bury()

    def close(self) -> None:
        """Leaves."""
        self.group.close()
        if self._lame is not None:
            self._lame[0].close()
            self._lame = None

    def _follow(self, following: Assignment) -> None:
        """From a sealed generation to the next."""
        if following.member(self.me) is None:
            self._retire()
            return
        was_active = self.group.open_term is not None
        self._bury()
        self.group.drain()
        self._lame = self.group, self.assignment.generation, monotonic() + LAME_DUCK
        self._arrived = frozenset()
        journal = self._surface.journal(following)
        with self._ticks.lock:
            self._ticks.unseal()
            if journal.blank:
                self._seed(journal)
        self._surface.remember(following)
        self.assignment = following
        self.group = self._group(following, journal, self._ticks)
        if was_active:
            self.group.campaign()
        log.info("generation opened", area=following.spec.area, generation=following.generation)

    def _seed(self, journal: Journal) -> None:
        """The next group starts with this log and term; having been in the one before, this member votes."""
        journal.bootstrap(self._ticks.snapshot(), self._ticks.term)

    def _superseded(self, assignment: Assignment) -> None:
        """From a generation that ended while this member was away, as a newcomer of a later one."""
        if self._retired or assignment.generation == self.assignment.generation:
            return
        if assignment.generation < self.assignment.generation:
            self._help(assignment)
            return
        if assignment.member(self.me) is None:
            self._retire()
            return
        follows = assignment.generation == self.assignment.generation + 1 and self.me not in assignment.joins
        if follows and self.group.voter:
            return  # the lame duck tells the seal
        self._bury()
        old = self.assignment.generation
        self.group.close()
        self._surface.remember(assignment)
        self.assignment = assignment
        self.group = self._group(assignment, self._surface.journal(assignment), self._ticks)
        self._surface.forget(old)

    def _help(self, old: Assignment) -> None:
        """Opens the sealed group again: this member restarted, and a survivor may not have learned of the seal."""
        if self._lame is None and self._surface.has_journal(old.generation):
            # With a log of its own: it says again what this one went past, the seal above all.
            duck = self._group(old, self._surface.journal(old), TickLog(self._ticks.authority))
            duck.drain()
            self._lame = duck, old.generation, monotonic() + LAME_DUCK
            self._arrived = frozenset()

    def _bury(self) -> None:
        if self._lame is not None:
            duck, generation, _until = self._lame
            duck.close()
            self._surface.forget(generation)
            self._lame = None

    def _retire(self) -> None:
        """The area goes on without this member."""
        self._retired = True
        self.close()
        self._on_retired()
