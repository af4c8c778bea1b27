"""What a Raft group drives; called in the Raft thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from pairsim.model.status import Succession


class Machine(Protocol):
    """The replicated state machine."""

    def apply(self, payload: bytes) -> None:
        """Applies a committed record."""

    def draft(self) -> Callable[[], bytes]:
        """A snapshot of everything applied so far; any thread may pack it."""

    def restore(self, snapshot: bytes) -> None:
        """Takes a snapshot's place."""


class TermedMachine(Machine, Protocol):
    """A state machine that knows which term is open."""

    term: int


class Leadership(Protocol):
    """Whoever simulates."""

    def capable(self) -> bool:
        """Whether it could simulate: it has the state, or the records that lead to it."""

    def opened(self, term: int, succession: Succession | None) -> None:
        """This member is the active of that term: everything before is applied."""

    def closed(self) -> None:
        """It is not any more."""
