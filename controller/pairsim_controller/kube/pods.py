"""Pods as processes, and role labels as what is written on pods; pure."""

from __future__ import annotations

from pairsim.model.status import Role
from pairsim_controller.kube.api.objects import (
    AREA,
    COMPONENT,
    DELETION_COST,
    PLANE,
    ROLE,
    TERM,
    TERMINATED_PHASES,
    Pod,
)
from pairsim_controller.plan.view import Kind, Label, Process

_HTTP, _PEER = 8080, 7946
_COST = {Role.SPARE: 0, Role.JOINING: 50, Role.PASSIVE: 100, Role.ACTIVE: 200}
"""Whoever shrinks the pool, or rolls it, takes the cheapest first."""


def process_of(pod: Pod) -> Process | None:
    """A pod as a process; None for one that is neither simulator nor witness.

    It is alive while its container runs, also after it was told to end: then it is leaving. A pod whose node is cut off
    is alive by the API server's word, and silent. That its container alone is about to end, the process says itself.
    """
    try:
        kind = Kind(pod.metadata.labels.get(COMPONENT, ""))
    except ValueError:
        return None
    running = any(c.name == kind.value and c.state.running is not None for c in pod.status.container_statuses)
    address = pod.status.pod_ip
    ports = {port.name: port.container_port for c in pod.spec.containers if c.name == kind.value for port in c.ports}
    return Process(
        name=pod.metadata.name,
        kind=kind,
        peer=f"{address}:{ports.get('peer', _PEER)}" if address else "",
        url=f"http://{address}:{ports.get('http', _HTTP)}" if address else "",
        alive=running and bool(address) and pod.status.phase not in TERMINATED_PHASES,
        leaving=pod.metadata.deletion_timestamp is not None,
        node=pod.spec.node_name,
    )


def label_of(pod: Pod) -> Label | None:
    """What stands on a pod; None if there is no role."""
    labels = pod.metadata.labels
    try:
        role = Role(labels.get(ROLE, ""))
    except ValueError:
        return None
    term = pod.metadata.annotations.get(TERM, "")
    return Label(labels.get(AREA, ""), role, int(term) if term.isascii() and term.isdigit() else 0)


def label_patch(pod: Pod, label: Label, plane: str) -> dict[str, object]:
    """What is applied to a pod, and only if it still is as it was read.

    What was applied before and is not named any more is taken off by the API server: a spare has no area.
    """
    labels = {ROLE: label.role.value}
    annotations = {DELETION_COST: str(_COST[label.role])}
    if label.area:
        labels |= {AREA: label.area, PLANE: plane}
        annotations[TERM] = str(label.term)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod.metadata.name,
            "uid": pod.metadata.uid,
            "resourceVersion": pod.metadata.resource_version,
            "labels": labels,
            "annotations": annotations,
        },
    }
