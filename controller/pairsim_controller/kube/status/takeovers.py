"""The last change of an area's active, as the status of the `Area` shows it; pure."""

from __future__ import annotations

from pairsim_controller.kube.api.objects import LastTakeover
from pairsim_controller.story.active_tracker import ActiveChange
from pairsim_controller.timestamps import rfc3339


def last_takeover(change: ActiveChange | None, wall: float) -> LastTakeover | None:
    """Returns a change from one active to another as a part of the status; None for any other change.

    Args:
        change: What the history of the area found.
        wall: When it was found; Unix time in seconds.
    """
    if change is None or change.kind not in {"takeover", "switchover"}:
        return None
    return LastTakeover(
        time=rfc3339(wall),
        reason="Switchover" if change.kind == "switchover" else "Takeover",
        duration_ms=round(1000 * change.seconds, 1) if change.seconds is not None else None,
        ticks_lost=change.ticks_lost,
        from_=change.before,
        to=change.active.replica,
    )
