"""Pods as observed processes, and role labels as they are written on pods; pure.

Anybody who may patch pods may edit their labels. So the kind of a pod is that of its container, which cannot change,
and a pod that was a process of the world once stays one, whatever its labels say.
"""

from __future__ import annotations

from pairsim.addresses import format_address, http_url
from pairsim.model.labels import (
    APP_NAME,
    AREA_LABEL,
    COMPONENT_LABEL,
    DELETION_COST_ANNOTATION,
    PART_OF_LABEL,
    PLANE_LABEL,
    ROLE_LABEL,
    TERM_ANNOTATION,
)
from pairsim.model.status import Role
from pairsim_controller.kube.api.objects import ContainerStatus, Pod, world_labels
from pairsim_controller.plan.view import Kind, Label, ObservedProcess
from pairsim_controller.reconcile.process_end import exit_reason

_HTTP, _PEER = 8080, 7946
_COST = {Role.SPARE: 0, Role.JOINING: 50, Role.PASSIVE: 100, Role.ACTIVE: 200}
"""Deletion costs: a Deployment that shrinks or rolls its pods deletes the cheapest first."""
FINISHED_PHASES = frozenset({"Succeeded", "Failed"})


def process_of(pod: Pod) -> ObservedProcess | None:
    """Returns a pod as a process; None if the pod has no container of a simulator or a witness.

    The process is alive while its container runs, also after its deletion was requested. A pod whose node is cut off
    is alive, as the API server says, and silent. The process itself reports when only its container is about to end.
    """
    kind = kind_of(pod)
    if kind is None:
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
        note="" if running else _end_of(container),
    )


def _end_of(container: ContainerStatus) -> str:
    """Returns how a container that does not run has failed; empty if it has not failed."""
    ended = container.state.terminated or container.last_state.terminated
    if ended is None or not ended.exit_code:
        return ""
    known = ended.reason not in {"", "Error"}
    return exit_reason(ended.exit_code, ended.reason if known else ended.message)


def belongs_to_world(pod: Pod) -> bool:
    """Returns whether the labels of a pod that is not known yet make it a process of the world.

    The labels that the controller writes count as well: a controller that starts must see such a pod although its other
    labels were edited, because a Service may select it.
    """
    labels, kind = pod.metadata.labels, kind_of(pod)
    if kind is None:
        return False
    return (
        ROLE_LABEL in labels
        or AREA_LABEL in labels
        or (labels.get(PART_OF_LABEL) == APP_NAME and labels.get(COMPONENT_LABEL) == kind.value)
    )


def is_mislabelled(pod: Pod) -> bool:
    """Returns whether a process of the world lacks a label that its manifest gave it, as after an edit by hand."""
    kind = kind_of(pod)
    return kind is not None and not _base_labels(kind).items() <= pod.metadata.labels.items()


def kind_of(pod: Pod) -> Kind | None:
    """Returns the kind of process that a pod runs, by the name of its container."""
    names = {container.name for container in pod.spec.containers}
    return next((kind for kind in Kind if kind.value in names), None)


def _base_labels(kind: Kind) -> dict[str, str]:
    return {**world_labels(), COMPONENT_LABEL: kind.value}


def label_of(pod: Pod) -> Label | None:
    """Returns the role labels of a pod; None if it has no role."""
    labels = pod.metadata.labels
    try:
        role = Role(labels.get(ROLE_LABEL, ""))
    except ValueError:
        return None
    term = pod.metadata.annotations.get(TERM_ANNOTATION, "")
    return Label(labels.get(AREA_LABEL, ""), role, int(term) if term.isascii() and term.isdigit() else 0)


def label_patch(pod: Pod, label: Label | None, plane: str) -> dict[str, object]:
    """Returns the body to apply to a pod; the API server refuses it if the pod changed since it was read.

    Labels that an earlier patch set and that this one does not name are removed by the API server: a spare has no area.
    The labels of the manifest are in every patch, so that one that was removed by hand comes back and stays.

    Args:
        pod: The pod as it was read.
        label: Its role labels; None for a pod without a role, such as a witness.
        plane: The name of the plane of its area.
    """
    kind = kind_of(pod)
    labels = _base_labels(kind) if kind is not None else {}
    annotations: dict[str, str] = {}
    if label is not None:
        labels[ROLE_LABEL] = label.role.value
        annotations[DELETION_COST_ANNOTATION] = str(_COST[label.role])
    if label is not None and label.area:
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
