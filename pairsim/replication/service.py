"""What the server sees of a process: the interfaces of a replica and of a witness, and their errors.

The server and replication meet only here, so that each can be tested without the other. Every method may be called
from any thread. A method that says *blocks* must run in an executor when an event loop calls it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

import msgspec

from pairsim.model.assignment import Assignment, Member
from pairsim.model.authority import Authority
from pairsim.model.commands import Command, Result
from pairsim.model.status import ReplicaStatus, WitnessStatus
from pairsim.replication.measurements import ReplicaMeasurements

if TYPE_CHECKING:
    from pairsim.model.borders import BorderState
    from pairsim.model.command_schema import CommandSchema
    from pairsim.model.state.table import TableView

T = TypeVar("T")


class ReplicaError(Exception):
    """This replica cannot serve the request; the text is a sentence for the user."""


class NotActiveError(ReplicaError):
    """Only the active serves this request; `leader` is the active, if it is known."""

    def __init__(self, leader: Member | None) -> None:
        super().__init__(
            f"this replica is not the active; {leader.replica} is"
            if leader
            else "this area has no active at the moment"
        )
        self.leader = leader


class InboxFullError(ReplicaError):
    """The batch does not fit into the inbox, because too many commands wait for a tick; try again later."""


class MemoryFullError(InboxFullError):
    """The replica has no memory for more entities; it has when entities are despawned."""


class BatchTooLargeError(ReplicaError):
    """The batch does not fit into the record of one tick; send it in parts."""


class BatchInterruptedError(ReplicaError):
    """The active lost its leadership before the batch was committed.

    The outcome is unknown: send the same commands with the same ids again.
    """


class NoStateError(ReplicaError):
    """This process holds no state to read: it is a spare, or it is still joining."""


class RefusedError(ReplicaError):
    """The request contradicts what this replica knows: an old generation, an old version of a map, a busy process."""


class SimulatorError(RefusedError):
    """The simulator cannot simulate the area here; the text says why.

    It cannot be found, raised before the replica voted, does not fit the stored state, or lacks memory.
    """


class Committed(msgspec.Struct, frozen=True):
    """A committed batch: the active's term, and one result per command in the order of the commands."""

    term: int
    results: list[Result]


class SwitchoverResult(msgspec.Struct, frozen=True):
    """A finished planned change of the active.

    Attributes:
        gap_ms: Milliseconds from the last commit of the old active to the first own record of the new one.
        term: The term of the new active.
    """

    gap_ms: float
    term: int


class OrderResult(msgspec.Struct, frozen=True):
    """An order about engines that is in force.

    Attributes:
        term: The term of the active.
        tick: The tick that is tried again, or the first one with new engines.
        revision: How many orders the log of the area has.
        running: Whether the engines were renewed while the area ran.
        other_code: Whether other code than before is in force.
        code_of: The name of the other replica, if that code is the one of its engine; else empty.
    """

    term: int
    tick: int
    revision: int
    running: bool = False
    other_code: bool = False
    code_of: str = ""


class FailingTick(msgspec.Struct, frozen=True):
    """The tick before which an area is paused.

    Attributes:
        tick: The tick.
        commands: Its commands; empty if it fails before it has any.
        left_out: The ids of those that an order leaves out.
    """

    tick: int
    commands: Sequence[Command]
    left_out: frozenset[str]


class Published(msgspec.Struct, frozen=True):
    """A tick that clients may see: its record is committed, and the replica's state is at this tick."""

    term: int
    tick: int


class CommittedArea(NamedTuple):
    """The state of an area at a committed tick.

    Attributes:
        table: The entities; a reader must not keep views of its columns.
        borders: The borders of the same tick, which do not change.
        published: The tick.
    """

    table: TableView
    borders: BorderState
    published: Published


BatchCallback = Callable[[Committed | ReplicaError], None]
"""Receives the outcome of a batch, once, from another thread."""


class ReplicaService(Protocol):
    """A simulator process as the server sees it: a spare, or a replica of one area's pair."""

    def status(self) -> ReplicaStatus:
        """Returns a consistent status; cheap enough for every request."""

    def command_schema(self) -> CommandSchema | None:
        """Returns which commands and components are valid in this area; None on a spare."""

    def measurements(self) -> ReplicaMeasurements | None:
        """Returns what the replica measured of its own work; None on a spare."""

    def leader(self) -> Member | None:
        """Returns the active as this replica knows it, which may be the replica itself; None if it knows none."""

    def other_replica(self) -> Member | None:
        """Returns the other replica of the pair that this replica belongs to; None on a spare."""

    def submit(self, commands: Sequence[Command], done: BatchCallback) -> None:
        """Puts validated commands into the inbox, all or none of them.

        Args:
            commands: The batch.
            done: Called when the whole batch is committed, or when its outcome is unknown.

        Raises:
            NotActiveError: This replica is not the active.
            InboxFullError: The batch does not fit into the inbox now.
            BatchTooLargeError: The batch does not fit into one tick.
        """

    def read(self, query: Callable[[TableView, Published], T], timeout: float) -> T:
        """Runs a query on the state at a committed tick and returns its result; blocks.

        Args:
            query: Receives the table and the tick that it is at; it must not keep views of the table's columns.
            timeout: How long to wait for the state, in seconds.

        Raises:
            NoStateError: This process holds no state.
            TimeoutError: The state was not readable in time.
        """

    def read_area(self, query: Callable[[CommittedArea], T], timeout: float) -> T:
        """Runs a query on the entities and the borders at a committed tick and returns its result; blocks.

        Args:
            query: Must not keep views of the table's columns.
            timeout: How long to wait for the state, in seconds.

        Raises:
            NoStateError, TimeoutError: As for `read`.
        """

    def digests(self, first: int, last: int) -> dict[int, str]:
        """Returns the digests (16 hex digits) of recent committed ticks in [first, last] that the state was at."""

    def watch(self, listener: Callable[[Published | None], None]) -> Callable[[], None]:
        """Calls the listener from another thread: with each published tick, and with None on a change of status.

        Returns:
            A function that ends the calls.
        """

    def assign(self, assignment: Assignment) -> None:
        """Makes this process a member of a generation; idempotent; blocks.

        Raises:
            RefusedError: The assignment contradicts what this replica knows.
        """

    def release(self, area: str) -> None:
        """Leaves the area and deletes its state, so that the process is a spare again; idempotent; blocks."""

    def leave(self) -> None:
        """Announces in the status that the process will end soon."""

    def keep_warm_engine(self, *, keep: bool) -> None:
        """Keeps an engine ready whenever this process is a spare, or none; idempotent; blocks."""

    def authority(self) -> Authority:
        """Returns what the area knows of the map of its plane.

        Raises:
            NoStateError: This process is a spare.
        """

    def authorise(self, authority: Authority, timeout: float) -> None:
        """Commits an authority grant; returns at once if the area knows it; blocks.

        Raises:
            NotActiveError: This replica is not the active.
            RefusedError: The area knows a higher version, or other cells of the same one.
            TimeoutError: The grant was not committed in time.
        """

    def switchover(self, timeout: float) -> SwitchoverResult:
        """Hands the leadership over to the passive; blocks.

        Raises:
            NotActiveError: This replica is not the active.
            RefusedError: The passive is not in sync, or the area is being handed over already.
            TimeoutError: The passive did not take over in time; this replica stays the active unless the log shows
                another one.
        """

    def skip(self, command: str, timeout: float) -> OrderResult:
        """Leaves a command out of the tick that fails on both replicas; blocks.

        Raises:
            NotActiveError: This replica does not lead.
            RefusedError: The area is not paused, the tick has no such command, or clients may have seen the tick.
            TimeoutError: It is not known whether the order came into force.
        """

    def failing_tick(self) -> FailingTick:
        """Returns the tick before which the area is paused.

        Raises:
            NotActiveError: This replica does not lead.
            RefusedError: The area is not paused.
        """

    def restart_engines(self, timeout: float, *, even_if_seen: bool) -> OrderResult:
        """Replaces the engines of the area by new ones, with the newest code; blocks.

        The engines of an area that runs go on until the new ones are ready.

        Args:
            timeout: How long it may take, in seconds.
            even_if_seen: Whether other code may compute a tick that clients may have seen.

        Raises:
            NotActiveError: This replica does not lead.
            RefusedError: The engine cannot be started, or clients may have seen the tick that
                other code would compute.
            TimeoutError: The engine has not started in time, or it is not known whether the order came into force.
        """


class WitnessService(Protocol):
    """A witness process as the server sees it: the third vote of many areas."""

    def status(self) -> WitnessStatus:
        """Returns the status of all areas."""

    def watch(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Calls the listener from another thread on each change of a leader, term or generation.

        Returns:
            A function that ends the calls.
        """

    def assign(self, assignment: Assignment) -> None:
        """Joins a generation of an area; idempotent; blocks.

        Raises:
            RefusedError: The assignment contradicts what this witness knows.
        """

    def release(self, area: str) -> None:
        """Leaves an area and deletes its log; idempotent; blocks."""

    def leave(self) -> None:
        """Announces in the status that the process will end soon."""
