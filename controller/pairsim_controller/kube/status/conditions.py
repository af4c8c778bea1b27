"""The status of an `Area` as its user reads it: a pure function of a view of the area."""

from __future__ import annotations

from collections.abc import Sequence

from pairsim.model.geometry import Box
from pairsim.model.status import ReplicaStatus
from pairsim.wording import without_amounts
from pairsim_controller.kube.api.objects import (
    AreaBorders,
    AreaStatus,
    Condition,
    LastTakeover,
    StoredAssignment,
    next_condition,
)
from pairsim_controller.plan.redundancy import active_of, redundancy_gap
from pairsim_controller.plan.view import Report, View

Verdict = tuple[bool | None, str, str]
"""True, False or unknown (None); a reason in one word; a sentence."""


def area_status(
    view: View,
    before: AreaStatus,
    *,
    warnings: Sequence[Report],
    last: LastTakeover | None,
    generation: int,
    wall: float,
    backup: str = "",
    number: int = 0,
    cell: Box | None = None,
) -> AreaStatus:
    """Returns the status to write.

    Args:
        view: The view of the area.
        before: The last status that was written; the times of its transitions are kept.
        warnings: The problems that have lasted long enough to be reported.
        last: The last change of the active.
        generation: The `metadata.generation` that the status describes.
        wall: Unix time in seconds.
        backup: The name of the file with the last state of the area; empty without a backup.
        number: The number of the area; 0 while it has no cell.
        cell: Its cell; None while it has none.
    """
    active = active_of(view.area, view.statuses.values())
    recorded = view.recorded
    passive = _passive(view, active)
    shown = active or passive
    verdicts = {
        "Ready": _ready(view, active, warnings),
        "Redundant": _redundant(view, warnings),
        "Degraded": _degraded(view, warnings),
    }
    return AreaStatus(
        observed_generation=generation,
        conditions=tuple(
            next_condition(kind, *verdict, before=before.conditions, generation=generation, wall=wall)
            for kind, verdict in sorted(verdicts.items())
        ),
        active=active.replica if active is not None else "",
        passive=passive.replica if passive is not None else "",
        witness=recorded.witness.replica if recorded is not None else "",
        term=max(active.term if active is not None else 0, before.term),
        tick=max((s.tick for s in (active, passive) if s is not None), default=before.tick),
        synced=active is not None and active.peer_in_sync,
        entities=shown.entities if shown is not None else before.entities,
        generation=recorded.generation if recorded is not None else 0,
        number=number,
        cell=cell,
        version=active.version if active is not None else before.version,
        borders=AreaBorders.of(active.borders) if active is not None and active.borders else before.borders,
        last_takeover=last,
        assignment=StoredAssignment.of(recorded) if recorded is not None else None,
        backup=backup,
    )


def significant_status(status: AreaStatus) -> AreaStatus:
    """Returns a status without the numbers, times and amounts in it that change all the time.

    These are its tick, its entities, and what crosses its borders.

    The version is left out too: a change of one area changes it in all of them.

    If this part of two statuses is equal, the later one need not be written at once.
    """
    plain = tuple(
        Condition(
            type=c.type, status=c.status, reason=c.reason, message=without_amounts(c.message), last_transition_time=""
        )
        for c in status.conditions
    )
    return AreaStatus(
        observed_generation=status.observed_generation,
        conditions=plain,
        active=status.active,
        passive=status.passive,
        witness=status.witness,
        term=status.term,
        synced=status.synced,
        generation=status.generation,
        number=status.number,
        cell=status.cell,
        last_takeover=status.last_takeover,
        assignment=status.assignment,
        backup=status.backup,
    )


def _passive(view: View, active: ReplicaStatus | None) -> ReplicaStatus | None:
    """Returns the status of a replica that is in sync and is not the active."""
    if view.recorded is None:
        return None
    members = [view.processes.get(m.replica) for m in view.recorded.replicas]
    found = [s for p in members if p is not None and (s := p.replica) is not None and s.area == view.area]
    return next((s for s in found if s.in_sync and (active is None or s.replica != active.replica)), None)


def _ready(view: View, active: ReplicaStatus | None, warnings: Sequence[Report]) -> Verdict:
    if active is not None:
        return True, "Active", f"{active.replica} is active in term {active.term}"
    if view.spec is None:
        return False, "Releasing", "the area is deleted: its members leave it"
    if view.recorded is None:
        return False, "NotFounded", ": ".join(("no pair simulates it yet", *_messages(warnings)))
    members = [view.processes.get(m.replica) for m in view.recorded.members()]
    if not any(p is not None and p.reachable for p in members):
        return None, "Unreachable", "no member can be reached: it may go on all the same"
    return False, "NoActive", "no active can be reached"


def _redundant(view: View, warnings: Sequence[Report]) -> Verdict:
    gap = redundancy_gap(view.area, view.statuses, view.recorded, view.notes)
    blocked = next((report.blocked for report in warnings if report.blocked), "")
    if gap and blocked:
        return False, "PoolBlocked", f"{gap.message}; {blocked}"
    return (False, gap.reason, gap.message) if gap else (True, "InSync", "the passive can take over")


def _degraded(view: View, warnings: Sequence[Report]) -> Verdict:
    if waiting := [report for report in warnings if not report.reason]:
        return True, "Waiting", "; ".join(_messages(waiting))
    if view.paused:
        return False, "Paused", "it is paused: members are not replaced"
    redundant, _reason, message = _redundant(view, warnings)
    if not redundant:
        return True, "Repairing", message
    if warnings:
        return True, warnings[0].reason, warnings[0].message
    return False, "Whole", "nothing waits for a repair"


def _messages(reports: Sequence[Report]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(report.message for report in reports))
