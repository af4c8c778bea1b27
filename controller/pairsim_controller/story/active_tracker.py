"""The changes of an area's active, and the times without one; does no I/O.

The new active itself says why it followed another one (`ReplicaStatus.succession`), since it alone knows whether it
was asked to take over. The role that the previous active has by now says nothing about that: a replica that hung is a
passive when it wakes.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from pairsim.model.status import ReplicaStatus, Succession
from pairsim_controller.plan.redundancy import active_of
from pairsim_controller.plan.view import View
from pairsim_controller.story.redundancy_tracker import STARTUP_SECONDS

STANDSTILL_SECONDS = 2.0
"""Seconds without an active before that is an event of its own. A takeover takes some ten milliseconds."""

UNKNOWN_CAUSE = "the cause is unknown"

_STATUS_SECONDS = 1.0
"""A process sends a status every second: its silence counts as a part of the loss only beyond that."""


class ActiveChange(msgspec.Struct, frozen=True):
    """An area has another active, or its active has another term.

    Attributes:
        kind: As in `HistoryEntry`.
        before: The previous active; empty for the first one.
        active: The status of the active now.
        cause: Why the active or its term changed; empty for the first active.
        seconds: From the first sign of the change to the new active; None if that was not observed.
        ticks_lost: How many ticks were seen of the previous active that the new one does not have.
    """

    kind: Literal["founded", "takeover", "switchover", "renewed"]
    before: str
    active: ReplicaStatus
    cause: str
    seconds: float | None
    ticks_lost: int


class Standstill(msgspec.Struct, frozen=True):
    """The area has no active for `seconds`; if `over`, it has one again."""

    seconds: float
    over: bool = False


class ActiveTracker:
    """The active of one area over time. Times are seconds of a clock that never goes back."""

    def __init__(self, active: str = "", term: int = 0, tick: int = 0) -> None:
        """Continues from the last active that is known, with its term and tick; by default, no active was seen yet."""
        self._active, self._term, self._tick = active, term, tick
        self._generation = 0
        self._observed = False
        self._lost_at: float | None = None
        self._stands_still = False

    @property
    def due_at(self) -> float | None:
        """When `observe` has to be called although nothing changes; None if it need not be."""
        if self._lost_at is None or self._stands_still or not self._active:
            return None
        return self._lost_at + (STANDSTILL_SECONDS if self._observed else STARTUP_SECONDS)

    def observe(self, view: View, now: float) -> list[ActiveChange | Standstill]:
        """Takes in a view of the area; returns what changed, in the order in which it has to be said."""
        active = active_of(view.area, view.statuses.values())
        if active is None or active.term < self._term:
            return self._without_active(view, now)
        found: list[ActiveChange | Standstill] = []
        if active.term > self._term:
            found.append(self._change(view, active, now))
        if self._stands_still and self._lost_at is not None:
            found.append(Standstill(now - self._lost_at, over=True))
        self._active, self._term, self._generation = active.replica, active.term, active.generation
        self._tick = max(self._tick, active.tick)
        self._observed, self._lost_at, self._stands_still = True, None, False
        return found

    def _without_active(self, view: View, now: float) -> list[ActiveChange | Standstill]:
        if self._lost_at is None:
            before = view.processes.get(self._active)
            silent = before.silent_seconds if before is not None else 0.0
            self._lost_at = now - max(0.0, silent - _STATUS_SECONDS)
        due_at = self.due_at
        if due_at is None or now < due_at:
            return []
        self._stands_still = True
        return [Standstill(now - self._lost_at)]

    def _change(self, view: View, active: ReplicaStatus, now: float) -> ActiveChange:
        if not self._active:
            return ActiveChange("founded", "", active, "", None, 0)
        ticks_lost = max(0, self._tick - active.tick)
        if active.replica == self._active:
            return ActiveChange("renewed", active.replica, active, self._renewal_cause(active), None, ticks_lost)
        before = view.processes.get(self._active)
        # If the loss was not observed, the gap cannot be longer than the silence of the old active.
        silent_since = now - before.silent_seconds if before is not None else now
        since = self._lost_at if self._lost_at is not None else silent_since
        return ActiveChange(
            kind="switchover" if active.succession is Succession.HANDED_OVER else "takeover",
            before=self._active,
            active=active,
            cause=str(active.succession) if active.succession is not None else UNKNOWN_CAUSE,
            seconds=now - since if self._observed else None,
            ticks_lost=ticks_lost,
        )

    def _renewal_cause(self, active: ReplicaStatus) -> str:
        if not self._generation:
            return UNKNOWN_CAUSE
        if active.generation > self._generation:
            return f"generation {active.generation} has begun"
        return "it was elected again; the cause is unknown"
