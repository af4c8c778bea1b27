"""What the network layer sees of a replica: a seam, so that either side can be tested without the other.

Every method may be called from any thread. Those that say *blocks* belong into an executor when called from an
event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from pairsim.model.assignment import Assignment, Member
from pairsim.model.authority import Authority
from pairsim.model.commands import Command, Result
from pairsim.model.status import ReplicaStatus, WitnessStatus
from pairsim.replication.measurements import Meters

if TYPE_CHECKING:
    from pairsim.model.command_schema import CommandSchema
    from pairsim.model.state.table import Table

T = TypeVar("T")


class ReplicaError(Exception):
    """A request that this replica cannot serve; its text is a sentence for the user."""


class NotActiveError(ReplicaError):
    """Only the active takes this; ask the leader, if one is known."""

    def __init__(self, leader: Member | None) -> None:
        super().__init__(
            f"this replica is not the active; {leader.replica} is"
            if leader
            else "this area has no active at the moment"
        )
        self.leader = leader


class InboxFullError(ReplicaError):
    """More commands wait for a tick than the inbox holds; try again later."""


class BatchTooLargeError(ReplicaError):
    """A batch that would not fit into one tick's record; send it in parts."""


class BatchInterruptedError(ReplicaError):
    """The active lost its leadership before the batch was committed.

    Its outcome is unknown: send the same commands with the same ids again.
    """


class NoStateError(ReplicaError):
    """This process holds no state that could be read (a spare, or still joining)."""


class RefusedError(ReplicaError):
    """An order that contradicts what this replica knows (an old generation, a lower epoch, a busy process)."""


class SimulatorError(RefusedError):
    """The area's simulator cannot be found, or it raised before the replica voted; says which, what and where."""


class Committed(msgspec.Struct, frozen=True):
    """A committed batch: one result per command, in the order of the commands."""

    term: int
    results: list[Result]


class Switchover(msgspec.Struct, frozen=True):
    """A finished planned change: ms from the last commit here to the new active's first own record, its term."""

    gap_ms: float
    term: int


class Published(msgspec.Struct, frozen=True):
    """A tick that may be seen: committed, and the replica's state is at it."""

    term: int
    tick: int


Done = Callable[[Committed | ReplicaError], None]


class ReplicaPort(Protocol):
    """A simulator process: a spare, or a member of one area's pair."""

    def status(self) -> ReplicaStatus:
        """A consistent snapshot; cheap enough for every request."""

    def command_schema(self) -> CommandSchema | None:
        """What commands and components are valid here; None for a spare."""

    def meters(self) -> Meters | None:
        """What it counted of its own work; None for a spare."""

    def leader(self) -> Member | None:
        """The active as this replica knows it (may be itself)."""

    def submit(self, commands: Sequence[Command], done: Done) -> None:
        """Puts validated commands into the inbox, all or none.

        `done` is called once, from another thread, when all of the batch is committed or its fate is unknown.

        Raises:
            NotActiveError: This replica is not the active.
            InboxFullError: The batch does not fit.
        """

    def read(self, query: Callable[[Table, Published], T], timeout: float) -> T:
        """Runs a query on the state at a committed tick and returns its result; blocks.

        The query must not keep views of the table's columns.

        Raises:
            NoStateError: There is no state here.
            TimeoutError: The state was not readable in time.
        """

    def digests(self, first: int, last: int) -> dict[int, str]:
        """Digests (16 hex digits) of the recent committed ticks in [first, last] that this replica was at."""

    def watch(self, listener: Callable[[Published | None], None]) -> Callable[[], None]:
        """Calls the listener from another thread: with each published tick, with None on a change of status.

        Returns a function that ends it.
        """

    def assign(self, assignment: Assignment) -> None:
        """Makes this process a member of a generation; idempotent; blocks.

        Raises:
            RefusedError: It contradicts what this replica knows.
        """

    def release(self, area: str) -> None:
        """Leaves the area and forgets its state: the process is a spare again; idempotent; blocks."""

    def leave(self) -> None:
        """The process will end soon: its status says so from now on."""

    def authorise(self, authority: Authority, timeout: float) -> None:
        """Commits an authority grant; blocks.

        Raises:
            NotActiveError, RefusedError, TimeoutError
        """

    def switchover(self, timeout: float) -> Switchover:
        """Hands the leadership to the passive; blocks.

        Raises:
            NotActiveError: This replica is not the active.
            RefusedError: The passive is not in sync.
            TimeoutError: It did not happen in time; this replica is active again or will be told by the log.
        """


class WitnessPort(Protocol):
    """A witness process: the third vote of many areas."""

    def status(self) -> WitnessStatus:
        """A snapshot over all areas."""

    def watch(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Calls the listener from another thread on each change of a leader, term or generation."""

    def assign(self, assignment: Assignment) -> None:
        """Joins a generation of an area; idempotent; blocks. Raises RefusedError."""

    def release(self, area: str) -> None:
        """Leaves an area and forgets its log; idempotent; blocks."""

    def leave(self) -> None:
        """The process will end soon: its status says so from now on."""
