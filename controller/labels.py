"""Role labels: what the pods (or the local processes) should say of themselves.

Demote first, promote second: a reader of the labels never sees two actives of an area. The term fences: a replica that
still believes in an old term cannot take the label from a newer one.
"""

from __future__ import annotations

from collections.abc import Iterator

from controller.view import Label, SetLabel, View
from pairsim.model.assignment import ReplicaStatus, Role


def label_actions(view: View) -> Iterator[SetLabel]:
    """The labels to change, demotions before promotions."""
    wanted = _wanted(view)
    changes = [
        SetLabel(name, label) for name, label in sorted(wanted.items()) if not _same(view.labels.get(name), label)
    ]
    yield from (change for change in changes if change.label.role is not Role.ACTIVE)
    yield from (change for change in changes if change.label.role is Role.ACTIVE)


def _same(old: Label | None, new: Label) -> bool:
    """A passive's term need not be followed: it says nothing that anybody relies on."""
    return (
        old is not None
        and old.area == new.area
        and old.role == new.role
        and (new.role is not Role.ACTIVE or old.term == new.term)
    )


def _wanted(view: View) -> dict[str, Label]:
    statuses = {n: s for n, p in view.processes.items() if (s := p.replica) is not None}
    actives = _actives(view, statuses)
    wanted = {}
    for name, status in statuses.items():
        role = status.role
        if role is Role.ACTIVE and actives.get(status.area) != name:
            role = Role.PASSIVE
        wanted[name] = Label(status.area, role, status.term)
    for name, label in view.labels.items():
        # Whoever cannot be reached keeps its label, unless another one is the active now.
        if name not in wanted and label.role is Role.ACTIVE and actives.get(label.area, name) != name:
            wanted[name] = Label(label.area, Role.PASSIVE, label.term)
    return wanted


def _actives(view: View, statuses: dict[str, ReplicaStatus]) -> dict[str, str]:
    """The one replica per area that may be labelled active."""
    best: dict[str, tuple[int, str]] = {}
    for name, status in statuses.items():
        if status.role is Role.ACTIVE:
            best[status.area] = max(best.get(status.area, (-1, "")), (status.term, name))
    fence: dict[str, int] = {}
    terms = [(x.area, x.term) for x in view.labels.values()] + [(x.area, x.term) for x in statuses.values()]
    for area, term in terms:
        fence[area] = max(fence.get(area, 0), term)
    return {area: name for area, (term, name) in best.items() if term >= fence.get(area, 0)}
