"""Observes the changes of an area's active: from which pod to which, and the time without an active; does no I/O."""

from __future__ import annotations

from pairsim.model.status import ReplicaStatus, Role
from pairsim_controller.kube.api.objects import AreaStatus, LastTakeover
from pairsim_controller.plan.redundancy import active_of
from pairsim_controller.plan.view import View
from pairsim_controller.timestamps import rfc3339

_SWITCHOVER_SECONDS = 15.0
"""Seconds in which a change of the active counts as the switchover that was requested."""


class Takeovers:
    """The changes of the active of one area.

    Times are seconds of a monotonic clock, except `wall`, which is Unix time.
    """

    def __init__(self, status: AreaStatus) -> None:
        """Continues from the status that was written last."""
        self.last = status.last_takeover
        self._active, self._term, self._tick = status.active, status.term, status.tick
        self._observed = False
        self._lost_at: float | None = None
        self._requested_at: float | None = None

    def on_switchover_requested(self, now: float) -> None:
        """Notes that a switchover was requested."""
        self._requested_at = now

    def observe(self, view: View, now: float, wall: float) -> LastTakeover | None:
        """Takes in a view of the area; returns the change of the active if there was one."""
        active = active_of(view.area, view.statuses.values())
        if active is None or active.term < self._term:
            if self._lost_at is None:
                self._lost_at = now
            return None
        change = None
        if active.replica != self._active and self._active and active.term > self._term:
            change = self.last = self._change(view, active, now, wall)
        if active.term >= self._term:
            self._active, self._term, self._observed = active.replica, active.term, True
            self._tick = max(self._tick, active.tick)
            self._lost_at = None
        return change

    def _change(self, view: View, active: ReplicaStatus, now: float, wall: float) -> LastTakeover:
        before = view.processes.get(self._active)
        requested = self._requested_at is not None and now - self._requested_at < _SWITCHOVER_SECONDS
        handed_over = before is not None and before.replica is not None and before.replica.role is not Role.ACTIVE
        # If the loss was not observed, the gap cannot be longer than the silence of the old active.
        silent_since = now - before.silent_seconds if before is not None else now
        since = self._lost_at if self._lost_at is not None else silent_since
        return LastTakeover(
            time=rfc3339(wall),
            reason="Switchover" if requested or handed_over else "Takeover",
            duration_ms=round(1000 * (now - since), 1) if self._observed else None,
            ticks_lost=max(0, self._tick - active.tick),
            from_=self._active,
            to=active.replica,
        )
