"""The sealed group of a generation, which keeps running until every survivor has joined the next generation.

A survivor that was away when the seal was committed still learns the seal from this group's log. The group is called
*draining* because it commits nothing new: it leads on, but its replica simulates no more.
"""

from __future__ import annotations

from pairsim.replication.clock import monotonic
from pairsim.replication.raft.node import RaftNode

DRAIN_SECONDS = 2.0
"""The shortest time for which a sealed group keeps running."""

DRAINING_TURN_SECONDS = 0.005
"""The longest wait between two turns of a draining group: its messages do not end the wait of the current group."""


class DrainingGroup:
    """A sealed group that still runs beside its successor. Raft thread.

    Attributes:
        generation: The generation of the sealed group.
    """

    def __init__(self, group: RaftNode, generation: int) -> None:
        """Retires the group: from now on it only replicates what its log holds, the seal above all."""
        group.drain()
        self.generation = generation
        self._group = group
        self._until = monotonic() + DRAIN_SECONDS
        self._joined_next: frozenset[str] = frozenset()

    def turn(self, linked_next: frozenset[str], survivors: frozenset[str]) -> bool:
        """Runs one turn without a wait; returns whether the group may be closed.

        The group may be closed once `DRAIN_SECONDS` have passed and each of `survivors` was in `linked_next`, the
        linked peers of the next group, at least once.
        """
        self._group.turn(0)
        self._joined_next |= linked_next
        return monotonic() > self._until and survivors <= self._joined_next

    def close(self) -> None:
        """Leaves the group."""
        self._group.close()
