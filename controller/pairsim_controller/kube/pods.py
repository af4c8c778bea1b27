"""Pods as observed processes, and role labels as they are written on pods; pure."""

from __future__ import annotations

from pairsim.addresses import format_address, http_url
from pairsim.model.labels import (
    AREA_LABEL,
    COMPONENT_LABEL,
    DELETION_COST_ANNOTATION,
    PLANE_LABEL,
    ROLE_LABEL,
    TERM_ANNOTATION,
)
from pairsim.model.status import Role
from pairsim_controller.kube.api.objects import ContainerStatus, Pod
from pairsim_controller.plan.view import Kind, Label, ObservedProcess

_HTTP, _PEER = 8080, 7946
_COST = {Role.SPARE: 0, Role.JOINING: 50, Role.PASSIVE: 100, Role.ACTIVE: 200}
"""Deletion costs: a Deployment that shrinks or rolls its pods deletes the cheapest first."""
FINISHED_PHASES = frozenset({"Succeeded", "Failed"})


def process_of(pod: Pod) -> ObservedProcess | None:
    """Returns a pod as a process; None if the pod is neither a simulator nor a witness.

    The process is alive while its container runs, also after its deletion was requested. A pod whose node is cut off
    is alive, as the API server says, and silent. The process itself reports when only its container is about to end.
    """
    try:
        kind = Kind(pod.metadata.labels.get(COMPONENT_LABEL, ""))
    except ValueError:
        return None
    container = next((c for c in pod.status.container_statuses if c.name == kind.value), ContainerStatus(kind.value))
    running = container.state.running is not None
    address = pod.status.pod_ip
    ports = {port.name: port.container_port for c in pod.spec.containers if c.name == kind.value for port in c.ports}
    return ObservedProcess(
        name=pod.metadata.name,
        kind=kind,
        peer=format_address(address, ports.get("peer", _PEER)) if address else "",
        url=http_url(address, ports.get("http", _HTTP)) if address else "",
        alive=running and bool(address) and pod.status.phase not in FINISHED_PHASES,
        terminating=pod.metadata.deletion_timestamp is not None,
        node=pod.spec.node_name,
        starts=container.restart_count,
    )


def label_of(pod: Pod) -> Label | None:
    """Returns the role labels of a pod; None if it has no role."""
    labels = pod.metadata.labels
    try:
        role = Role(labels.get(ROLE_LABEL, ""))
    except ValueError:
        return None
    term = pod.metadata.annotations.get(TERM_ANNOTATION, "")
    return Label(labels.get(AREA_LABEL, ""), role, int(term) if term.isascii() and term.isdigit() else 0)


def label_patch(pod: Pod, label: Label, plane: str) -> dict[str, object]:
    """Returns the body to apply to a pod; the API server refuses it if the pod changed since it was read.

    Labels that an earlier patch set and that this one does not name are removed by the API server: a spare has no area.
    """
    labels = {ROLE_LABEL: label.role.value}
    annotations = {DELETION_COST_ANNOTATION: str(_COST[label.role])}
    if label.area:
        labels |= {AREA_LABEL: label.area, PLANE_LABEL: plane}
        annotations[TERM_ANNOTATION] = str(label.term)
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
