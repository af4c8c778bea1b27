"""The seam between a Raft group and whatever carries its messages: sockets, or a simulated network."""

from __future__ import annotations

from typing import Protocol

SILENCE = 1.0
"""Seconds without a byte after which a link counts as dead; pings are far more frequent."""


class WireHandler(Protocol):
    """Takes what a wire brings; called in the Raft thread."""

    def on_up(self, peer: str) -> None:
        """A link to the peer stands."""

    def on_down(self, peer: str) -> None:
        """The link is gone; messages may be lost."""

    def on_message(self, peer: str, message: bytes) -> None:
        """A message, in the order of its sending as long as the link stands."""


class Wire(Protocol):
    """Links to the other members of one group."""

    def start(self, handler: WireHandler) -> None:
        """Begins to keep links up."""

    def send(self, peer: str, message: bytes) -> bool:
        """Queues a message; False when there is no link. Never blocks."""

    def backlog(self, peer: str) -> int:
        """Bytes that were sent and that the link has not taken yet."""

    def poll(self, timeout: float) -> None:
        """Waits at most `timeout` seconds for events and hands them to the handler."""

    def wake(self) -> None:
        """Ends a `poll` early; may be called from any thread."""

    def close(self) -> None:
        """Drops all links."""
