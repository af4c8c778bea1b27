"""What is news about redundancy: when each area is redundant, and when it has not been so for a while and why.

A replica that is replaced at once is told by what replaces it; that it was missing for half a second is no news.
"""

from __future__ import annotations

import enum

import msgspec

from pairsim.model.world_status import AreaStatusView

PATIENCE = 1.0
"""Seconds without redundancy before it is told."""


class Change(enum.Enum):
    """What happened to an area."""

    BEGUN = enum.auto()
    """It is redundant for the first time."""

    LOST = enum.auto()
    """It has not been redundant for a while."""

    RESTORED = enum.auto()
    """It is redundant again, after a loss that was told, or with another member."""

    SWAPPED = enum.auto()
    """It is redundant, with the same members in other roles."""


class News(msgspec.Struct, frozen=True):
    """One change.

    Attributes:
        seconds: How long it has not been redundant, or had not been; 0 if that was not seen.
    """

    change: Change
    seconds: float = 0.0


class Redundancy:
    """Of one area; sans-I/O. Times are in seconds, of any clock that goes forward."""

    def __init__(self) -> None:
        """It has not been redundant yet."""
        self._pair: dict[str, str] = {}
        self._since: float | None = None
        self._told = False

    def see(self, area: AreaStatusView, now: float) -> News | None:
        """What is news of the area as it is now."""
        return self._redundant(area, now) if area.redundant else self._missing(now)

    def _redundant(self, area: AreaStatusView, now: float) -> News | None:
        before, self._pair = self._pair, {replica.replica: replica.role for replica in area.replicas}
        seconds = now - self._since if self._since is not None else 0.0
        told, self._told, self._since = self._told, False, None
        if not before:
            return News(Change.BEGUN)
        if told or before.keys() != self._pair.keys():
            return News(Change.RESTORED, seconds)
        return News(Change.SWAPPED, seconds) if before != self._pair else None

    def _missing(self, now: float) -> News | None:
        if not self._pair:
            return None  # it has not begun; what it waits for is told by who decides about it
        if self._since is None:
            self._since = now
        if self._told or now - self._since < PATIENCE:
            return None
        self._told = True
        return News(Change.LOST, now - self._since)
