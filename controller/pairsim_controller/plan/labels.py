"""Role labels: the pure function that plans the next changes of the labels of one area.

Demote first, promote second: a reader of the labels never sees two actives of an area. A promotion is planned only on a
view in which no other replica has the label *and every other replica has been written to in that term*. The second half
protects against a controller that was stopped just before a promotion and continues much later: the object version
that it read is older than the stored one, so its write is refused.

The term is a fence as well: a replica that still believes in an old term cannot take the label from a newer one.

`decide` does not plan labels. The reconciler calls `plan_labels` with a view that already holds the labels which the
API server acknowledged, until it returns no change.
"""

from __future__ import annotations

from pairsim.model.status import ReplicaStatus, Role
from pairsim_controller.plan.view import Kind, Label, SetLabel, View


def plan_labels(view: View) -> tuple[SetLabel, ...]:
    """Returns the label changes that may be made now, in any order.

    No order of them, and no failure of some of them, shows two actives. When all are acknowledged, call again with a
    new view: a promotion follows the demotion that it had to wait for.
    """
    statuses = {n: s for n, p in view.processes.items() if (s := p.replica) is not None}
    active = _find_active(view, statuses)
    promoted = active is not None and view.labels.get(active.replica) == Label(view.area, Role.ACTIVE, active.term)
    fence = active.term if active is not None and not promoted else 0
    changes = []
    for name, wanted in sorted(_other_labels(view, statuses, active).items()):
        old = view.labels.get(name)
        label = wanted
        if old is not None and old.area == wanted.area:
            label = Label(wanted.area, wanted.role, max(old.term, wanted.term))  # a term never goes back
        if not _is_current(old, label, fence):
            changes.append(SetLabel(name, label))
    if active is not None and not promoted and not changes:
        changes.append(SetLabel(active.replica, Label(view.area, Role.ACTIVE, active.term)))
    return tuple(changes)


def _is_current(old: Label | None, new: Label, fence: int) -> bool:
    """Returns whether a label needs no write; the term of a passive matters only while a promotion waits."""
    return old is not None and old.area == new.area and old.role == new.role and (old.term >= fence or not new.area)


def _other_labels(view: View, statuses: dict[str, ReplicaStatus], active: ReplicaStatus | None) -> dict[str, Label]:
    """Returns the labels that all simulators except the active should have."""
    term = active.term if active is not None else 0
    wanted = {}
    for name, process in view.processes.items():
        if process.kind is not Kind.SIMULATOR or (active is not None and name == active.replica):
            continue
        status, old = statuses.get(name), view.labels.get(name)
        if status is not None:
            role = Role.PASSIVE if status.role is Role.ACTIVE else status.role
            if status.area == view.area:
                wanted[name] = Label(view.area, role, max(status.term, term))
            elif old is not None and old.area == view.area:
                # It holds another area now, or none; whether it is active there is decided with that area.
                wanted[name] = Label(status.area, role, status.term)
        elif old is not None and old.area == view.area:
            # A replica that cannot be reached keeps its label unless another replica is the active now.
            demoted = old.role is Role.ACTIVE and active is not None
            wanted[name] = Label(view.area, Role.PASSIVE if demoted else old.role, max(old.term, term))
        elif active is not None and _is_member(view, name) and (old is None or not old.area):
            wanted[name] = Label(view.area, Role.PASSIVE, term)
    return wanted


def _is_member(view: View, name: str) -> bool:
    return view.recorded is not None and any(m.replica == name for m in view.recorded.replicas)


def _find_active(view: View, statuses: dict[str, ReplicaStatus]) -> ReplicaStatus | None:
    """Returns the status of the one replica that may be labelled active."""
    mine = [status for status in statuses.values() if status.area == view.area]
    best = max((s for s in mine if s.role is Role.ACTIVE), key=lambda s: (s.term, s.replica), default=None)
    labels = [label.term for label in view.labels.values() if label.area == view.area]
    fence = max([*labels, *(status.term for status in mine)], default=0)
    return best if best is not None and best.term >= fence else None
