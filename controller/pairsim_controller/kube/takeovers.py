"""When the active of an area changed, from whom to whom, and how long there was none; sans-I/O."""

from __future__ import annotations

from pairsim.model.status import ReplicaStatus, Role
from pairsim_controller.kube.api.objects import AreaStatus, LastTakeover
from pairsim_controller.plan.redundancy import active_of
from pairsim_controller.plan.view import View
from pairsim_controller.timestamps import rfc3339

_ORDERED = 15.0
"""Seconds in which a change of the active counts as the switchover that was ordered."""


class Takeovers:
    """Watches one area. Times are of a monotonic clock, in seconds, but for `wall`, which is Unix time."""

    def __init__(self, status: AreaStatus) -> None:
        """Goes on from what was written down."""
        self.last = status.last_takeover
        self._active, self._term, self._tick = status.active, status.term, status.tick
        self._seen = False
        self._lost: float | None = None
        self._ordered: float | None = None

    def ordered(self, now: float) -> None:
        """A switchover was ordered."""
        self._ordered = now

    def observe(self, view: View, now: float, wall: float) -> LastTakeover | None:
        """A look at the area; the change if there was one."""
        active = active_of(view.area, view.statuses.values())
        if active is None or active.term < self._term:
            if self._lost is None:
                self._lost = now
            return None
        change = None
        if active.replica != self._active and self._active and active.term > self._term:
            change = self.last = self._change(view, active, now, wall)
        if active.term >= self._term:
            self._active, self._term, self._seen = active.replica, active.term, True
            self._tick = max(self._tick, active.tick)
            self._lost = None
        return change

    def _change(self, view: View, active: ReplicaStatus, now: float, wall: float) -> LastTakeover:
        before = view.processes.get(self._active)
        ordered = self._ordered is not None and now - self._ordered < _ORDERED
        handed_over = before is not None and before.replica is not None and before.replica.role is not Role.ACTIVE
        # Nobody saw it being lost: then it cannot have been for longer than it was silent.
        unseen = now - before.silent if before is not None else now
        since = self._lost if self._lost is not None else unseen
        return LastTakeover(
            time=rfc3339(wall),
            reason="Switchover" if ordered or handed_over else "Takeover",
            duration_ms=round(1000 * (now - since), 1) if self._seen else None,
            ticks_lost=max(0, self._tick - active.tick),
            from_=self._active,
            to=active.replica,
        )
