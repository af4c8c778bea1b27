"""An area's status, as its user reads it: a pure function of a look at it."""

from __future__ import annotations

from collections.abc import Sequence

from pairsim.model.status import ReplicaStatus
from pairsim_controller.kube.api.objects import AreaStatus, Condition, LastTakeover, StoredAssignment, next_condition
from pairsim_controller.plan.redundancy import active_of, lack
from pairsim_controller.plan.view import Say, View

Verdict = tuple[bool | None, str, str]
"""True, False or unknown; a reason in one word; a sentence."""


def area_status(
    view: View,
    before: AreaStatus,
    *,
    said: Sequence[Say],
    last: LastTakeover | None,
    generation: int,
    wall: float,
    backup: str = "",
) -> AreaStatus:
    """The status to write.

    Args:
        view: The look.
        before: The status as it was written last; times of transitions are kept.
        said: What is wrong and has lasted.
        last: The last change of the active.
        generation: The `metadata.generation` that this is about.
        wall: Unix time.
        backup: The file with its last state.
    """
    active = active_of(view.area, view.statuses.values())
    recorded = view.recorded
    passive = _passive(view, active)
    shown = active or passive
    verdicts = {
        "Ready": _ready(view, active, said),
        "Redundant": _redundant(view),
        "Degraded": _degraded(view, said),
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
        last_takeover=last,
        assignment=StoredAssignment.of(recorded) if recorded is not None else None,
        backup=backup,
    )


def notable(status: AreaStatus) -> AreaStatus:
    """Without what changes all the time: two statuses that are equal so need no new writing at once."""
    plain = tuple(
        Condition(type=c.type, status=c.status, reason=c.reason, message=c.message, last_transition_time="")
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
        last_takeover=status.last_takeover,
        assignment=status.assignment,
        backup=status.backup,
    )


def _passive(view: View, active: ReplicaStatus | None) -> ReplicaStatus | None:
    """The member beside the active."""
    if view.recorded is None:
        return None
    members = [view.processes.get(m.replica) for m in view.recorded.replicas]
    found = [s for p in members if p is not None and (s := p.replica) is not None and s.area == view.area]
    return next((s for s in found if s.in_sync and (active is None or s.replica != active.replica)), None)


def _ready(view: View, active: ReplicaStatus | None, said: Sequence[Say]) -> Verdict:
    if active is not None:
        return True, "Active", f"{active.replica} is active in term {active.term}"
    if view.spec is None:
        return False, "Releasing", "the area is deleted: its members leave it"
    if view.recorded is None:
        return False, "NotFounded", ": ".join(("no pair simulates it yet", *_sentences(said)))
    members = [view.processes.get(m.replica) for m in view.recorded.members()]
    if not any(p is not None and p.alive and p.status is not None for p in members):
        return None, "Unreachable", "no member can be reached: it may go on all the same"
    return False, "NoActive", "no active can be reached"


def _redundant(view: View) -> Verdict:
    missing = lack(view.area, view.statuses)
    return (False, missing.reason, missing.sentence) if missing else (True, "InSync", "the passive can take over")


def _degraded(view: View, said: Sequence[Say]) -> Verdict:
    if waiting := [say for say in said if not say.reason]:
        return True, "Waiting", "; ".join(_sentences(waiting))
    if view.paused:
        return False, "Paused", "it is paused: members are not replaced"
    whole, _reason, sentence = _redundant(view)
    if not whole:
        return True, "Repairing", sentence
    return (True, said[0].reason, said[0].sentence) if said else (False, "Whole", "nothing waits for a repair")


def _sentences(said: Sequence[Say]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(say.sentence for say in said))
