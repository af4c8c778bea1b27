"""Role labels: what the pods (or the local processes) should say of themselves.

Demote first, promote second: a reader of the labels never sees two actives of an area. A promotion is decided only on a
view in which nobody else has the label *and everybody else has been written to in that term*. The second half is
for a controller that was stopped just before a promotion and goes on much later: what it is going to write is older
than what stands there, and is refused.

The term fences as well: a replica that still believes in an old term cannot take the label from a newer one.
"""

from __future__ import annotations

from collections.abc import Iterator

from pairsim.model.status import ReplicaStatus, Role
from pairsim_controller.plan.view import Kind, Label, SetLabel, View


def label_actions(view: View) -> Iterator[SetLabel]:
    """The labels to change now; whatever their order, no step shows two actives. More may follow when they are done."""
    statuses = {n: s for n, p in view.processes.items() if (s := p.replica) is not None}
    active = _active(view, statuses)
    promoted = active is not None and view.labels.get(active.replica) == Label(view.area, Role.ACTIVE, active.term)
    fence = active.term if active is not None and not promoted else 0
    waits = False
    for name, label in sorted(_others(view, statuses, active).items()):
        old = view.labels.get(name)
        if old is not None and old.area == label.area:
            label = Label(label.area, label.role, max(old.term, label.term))  # noqa: PLW2901 - it never goes back
        if not _same(old, label, fence):
            waits = True
            yield SetLabel(name, label)
    if active is not None and not promoted and not waits:
        yield SetLabel(active.replica, Label(view.area, Role.ACTIVE, active.term))


def _same(old: Label | None, new: Label, fence: int) -> bool:
    """A passive's term need not be followed, unless somebody is to be promoted."""
    return old is not None and old.area == new.area and old.role == new.role and (old.term >= fence or not new.area)


def _others(view: View, statuses: dict[str, ReplicaStatus], active: ReplicaStatus | None) -> dict[str, Label]:
    """Everybody but the active, as they should be labelled."""
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
                # It is somebody else's now, or nobody's; whether it is active there is decided there.
                wanted[name] = Label(status.area, role, status.term)
        elif old is not None and old.area == view.area:
            # Whoever cannot be reached keeps its label, unless another one is the active now.
            demoted = old.role is Role.ACTIVE and active is not None
            wanted[name] = Label(view.area, Role.PASSIVE if demoted else old.role, max(old.term, term))
        elif active is not None and _member(view, name) and (old is None or not old.area):
            wanted[name] = Label(view.area, Role.PASSIVE, term)
    return wanted


def _member(view: View, name: str) -> bool:
    return view.recorded is not None and any(m.replica == name for m in view.recorded.replicas)


def _active(view: View, statuses: dict[str, ReplicaStatus]) -> ReplicaStatus | None:
    """The one replica that may be labelled active."""
    mine = [status for status in statuses.values() if status.area == view.area]
    best = max((s for s in mine if s.role is Role.ACTIVE), key=lambda s: (s.term, s.replica), default=None)
    labels = [label.term for label in view.labels.values() if label.area == view.area]
    fence = max([*labels, *(status.term for status in mine)], default=0)
    return best if best is not None and best.term >= fence else None
