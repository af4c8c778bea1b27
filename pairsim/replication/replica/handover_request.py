"""A request to the active to hand its area over: to the passive, or to the next generation.

The active first brings the area to rest (`Active._quiesce_for`), then sends the request to its Raft group.
"""

from __future__ import annotations

import enum

from pairsim.model.assignment import Assignment
from pairsim.replication.waiting import Wakeup


class HandoverOutcome(enum.Enum):
    """How a handover request ended."""

    PENDING = enum.auto()
    DONE = enum.auto()
    FAILED = enum.auto()


class HandoverRequest:
    """A request to hand over; written by the replica thread, awaited by any thread.

    Attributes:
        peer: The replica that must have the whole state first.
        next_generation: The generation to open; None to hand the leadership over to `peer`.
        term: The term of the active that got the request.
        deadline: The monotonic time after which a request that was not sent yet fails.
        sent: Whether the request has reached the Raft group; a seal cannot be taken back from then on.
        not_before_tick: The first tick at which the area may rest.
        outcome: How the request ended.
        finished: Set when the outcome is known.
    """

    def __init__(self, peer: str, next_generation: Assignment | None, deadline: float, term: int) -> None:
        self.peer = peer
        self.next_generation = next_generation
        self.deadline = deadline
        self.term = term
        self.sent = False
        self.not_before_tick: int | None = None
        self.outcome = HandoverOutcome.PENDING
        self.finished = Wakeup()

    def survivors_linked(self, voters: frozenset[str]) -> bool:
        """Returns whether all survivors but this replica are among `voters`, the linked peers that vote.

        A survivor carries the seal into the next generation, so it must be linked to learn of the seal.
        """
        if self.next_generation is None:
            return True
        survivors = {m.replica for m in self.next_generation.members()} - set(self.next_generation.joins)
        return len(survivors - voters) <= 1  # the one is this replica

    def finish(self, outcome: HandoverOutcome) -> None:
        """Sets the outcome, if it is still pending, and wakes the waiting threads; the active serialises the calls."""
        if self.outcome is HandoverOutcome.PENDING:
            self.outcome = outcome
            self.finished.set()
