"""The interfaces between a Raft member and its surroundings; every method is called in the Raft thread unless said.

A member stands on a `Transport` (sockets, or a simulated network), drives a `StateMachine` (the tick log), and reports
to a `LeadershipListener` (the replica or the witness) when it becomes the active and when it stops being the active.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from pairsim.model.status import Succession
from pairsim.replication.standing import Standing

SILENT_LINK_SECONDS = 1.0
"""A link over which no byte arrived for so many seconds counts as dead; pings are far more frequent."""


class TransportHandler(Protocol):
    """Receives the events of a transport, in the Raft thread."""

    def on_up(self, peer: str) -> None:
        """Is called when a link to the peer is established."""

    def on_down(self, peer: str) -> None:
        """Is called when the link to the peer is lost; messages under way may be lost with it."""

    def on_message(self, peer: str, message: bytes) -> None:
        """Receives one message; messages of one link arrive in the order in which they were sent."""


class Transport(Protocol):
    """The links from one member to the other members of its Raft group."""

    def start(self, handler: TransportHandler) -> None:
        """Starts to establish links and to keep them; events go to the handler, during `poll`."""

    def send(self, peer: str, message: bytes) -> bool:
        """Queues a message and returns True, or returns False if there is not a link to the peer. Never blocks."""

    def backlog(self, peer: str) -> int:
        """Returns how many bytes are queued for the peer and not yet taken by the link."""

    def poll(self, timeout: float) -> None:
        """Waits at most `timeout` seconds for events and passes them to the handler."""

    def wake(self) -> None:
        """Ends a running or the next `poll` early; may be called from any thread."""

    def close(self) -> None:
        """Closes all links."""


class StateMachine(Protocol):
    """The replicated state machine of a Raft group."""

    def apply(self, payload: bytes) -> None:
        """Applies one committed record."""

    def begin_snapshot(self) -> Callable[[], bytes]:
        """Captures everything applied so far, and returns a function that packs it; any thread may call that one."""

    def restore(self, snapshot: bytes) -> None:
        """Replaces the state by the state of a snapshot."""


class TermedStateMachine(StateMachine, Protocol):
    """A state machine that knows which term is open.

    Attributes:
        term: The term of the last `Open` record that was applied; 0 before the first.
    """

    term: int


class LeadershipListener(Protocol):
    """The part of a process that simulates when its member leads."""

    def can_simulate(self) -> bool:
        """Returns whether this process could simulate: it has the state, or the records that lead to the state."""

    def standing(self) -> Standing:
        """Returns the chance of this process to compute its next tick."""

    def on_leadership_gained(self, term: int, succession: Succession | None) -> None:
        """Is called when this member becomes the active of a term and everything before the term is applied.

        Args:
            term: The term that was opened.
            succession: Why the active before is gone; None if there never was an active.
        """

    def on_leadership_lost(self) -> None:
        """Is called when this member stops being the active."""
