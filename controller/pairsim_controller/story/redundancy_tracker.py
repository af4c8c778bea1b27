"""The changes of an area's redundancy that are worth a message.

A replica that is replaced at once is reported by the new pair alone: a gap that is shorter than `REPORT_AFTER_SECONDS`
is not reported. A simulator that fails is reported sooner: its author waits for the sentence, and a call that does not
return has its own time before that.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

import msgspec

from pairsim.model.world_status import AreaStatusView

REPORT_AFTER_SECONDS = 1.0
"""Seconds without redundancy before the loss is reported."""

REPORT_FAILURE_AFTER_SECONDS = 0.5
"""The same, while a replica is paused before a tick at which its simulator fails."""

STARTUP_SECONDS = 10.0
"""Seconds for which a controller that continues with an area waits for the pair that was known last."""


class RedundancyChange(enum.Enum):
    """The kinds of change."""

    BEGUN = enum.auto()
    """The area is redundant for the first time."""

    LOST = enum.auto()
    """The area has not been redundant for `REPORT_AFTER_SECONDS`."""

    RESTORED = enum.auto()
    """The area is redundant again, after a loss that was reported or with another member."""

    SWAPPED = enum.auto()
    """The area is redundant, with the same members in other roles."""


class RedundancyEvent(msgspec.Struct, frozen=True):
    """A change of the redundancy of an area.

    Attributes:
        change: The kind.
        seconds: The duration without redundancy until now; 0 if it was not observed.
    """

    change: RedundancyChange
    seconds: float = 0.0


class RedundancyTracker:
    """The redundancy of one area over time; does no I/O. Times are seconds of any clock that never goes back."""

    def __init__(self, pair: Mapping[str, str] | None = None) -> None:
        """Starts with an area that has not been redundant yet, or that was redundant last with this pair.

        Args:
            pair: The role of each replica by its name.
        """
        self._pair: dict[str, str] = dict(pair or {})
        self._observed = False
        self._since: float | None = None
        self._reported = self._failing = False

    @property
    def due_at(self) -> float | None:
        """When `observe` has to be called although nothing changes; None if it need not be."""
        if self._since is None or self._reported:
            return None
        if not self._observed:
            return self._since + STARTUP_SECONDS
        return self._since + (REPORT_FAILURE_AFTER_SECONDS if self._failing else REPORT_AFTER_SECONDS)

    def observe(self, area: AreaStatusView, now: float, *, failing: bool = False) -> RedundancyEvent | None:
        """Takes in the current status of the area; returns the change to report, or None.

        Args:
            area: The status.
            now: The time.
            failing: Whether the simulator of a replica fails, so that waiting does not help.
        """
        self._failing = failing
        return self._redundant(area, now) if area.redundant else self._missing(now)

    def _redundant(self, area: AreaStatusView, now: float) -> RedundancyEvent | None:
        self._observed = True
        before, self._pair = self._pair, {replica.replica: replica.role for replica in area.replicas}
        seconds = now - self._since if self._since is not None else 0.0
        reported, self._reported, self._since = self._reported, False, None
        if not before:
            return RedundancyEvent(RedundancyChange.BEGUN)
        if reported or before.keys() != self._pair.keys():
            return RedundancyEvent(RedundancyChange.RESTORED, seconds)
        return RedundancyEvent(RedundancyChange.SWAPPED, seconds) if before != self._pair else None

    def _missing(self, now: float) -> RedundancyEvent | None:
        if not self._pair:
            return None  # the area has not begun; the reports of `decide` say what it waits for
        if self._since is None:
            self._since = now
        due_at = self.due_at
        if due_at is None or now < due_at:
            return None
        self._reported = True
        return RedundancyEvent(RedundancyChange.LOST, now - self._since)
