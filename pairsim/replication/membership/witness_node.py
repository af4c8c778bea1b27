"""A witness's part in one area: a tick log and a membership, without threads.

A witness votes and holds the log, and never simulates. The threads of a witness process and the virtual-time
simulation drive the same `WitnessNode`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pairsim.model.assignment import Assignment
from pairsim.model.status import Succession, WitnessGroup
from pairsim.replication.log.records import Order, Seal, Tick
from pairsim.replication.log.tick_log import TickLog, TickLogListener
from pairsim.replication.membership.membership import GroupResources, Membership
from pairsim.replication.standing import Standing
from pairsim.settings import Timing


class WitnessNode:
    """The witness of one area. The Raft thread drives it and calls its listener methods; any thread reads `status`."""

    def __init__(
        self,
        me: str,
        assignment: Assignment,
        *,
        resources: GroupResources,
        timing: Timing,
        on_term: Callable[[], None],
        on_retired: Callable[[], None],
        observers: Sequence[TickLogListener] = (),
    ) -> None:
        """Joins the generation.

        Args:
            me: The name of this process.
            assignment: The generation.
            resources: The network and the disk.
            timing: The intervals of the Raft group.
            on_term: Called in the Raft thread when a term is opened.
            on_retired: Called in the Raft thread when the area continues without this witness.
            observers: Listeners that learn of each applied record before this node does.
        """
        self._on_term = on_term
        self.log = TickLog()
        self.membership = Membership(
            me,
            assignment,
            ticks=self.log,
            listeners=(*observers, self),
            leadership=self,
            resources=resources,
            timing=timing,
            on_retired=on_retired,
        )

    def turn_raft(self, wait: float) -> tuple[object, ...]:
        """Runs one turn, which waits at most `wait` seconds; returns the values whose change is a change of status."""
        self.membership.turn(wait)
        group = self.membership.group
        return group.leader, group.voter, self.log.term, self.membership.assignment

    def status(self) -> WitnessGroup:
        """Returns the area's part of the witness's status."""
        group, assignment = self.membership.group, self.membership.assignment
        return WitnessGroup(
            area=assignment.spec.area,
            generation=assignment.generation,
            term=self.log.term,
            tick=self.log.tick,
            leader=group.leader if group.leader in group.links else None,
            members=tuple(m.replica for m in assignment.members()),
            votes=group.voter,
            addresses=tuple(m.peer for m in assignment.members()),
        )

    def standing(self) -> Standing:
        """Returns the standing that is always the same: a witness has no engine."""
        return Standing()

    def can_simulate(self) -> bool:
        """Returns False: a witness never simulates."""
        return False

    def on_leadership_gained(self, term: int, succession: Succession | None) -> None:
        """Raises `AssertionError`: the group must not make a witness the active."""
        raise AssertionError(f"the witness must not be active (term {term})")

    def on_leadership_lost(self) -> None:
        """Does nothing: a witness never led."""

    def on_open(self, term: int) -> None:
        """Reports that a term was opened."""
        self._on_term()

    def on_tick(self, record: Tick, payload: bytes) -> None:
        """Does nothing: the log holds the record."""

    def on_order(self, order: Order) -> None:
        """Does nothing: a witness has no engine, and the log holds the order."""

    def on_seal(self, seal: Seal) -> None:
        """Does nothing: the membership acts on the seal."""
