"""What belongs to an area beside its pods: two Services and a disruption budget; pure."""

from __future__ import annotations

from pairsim.model.labels import API_VERSION, APP_NAME, AREA_LABEL, NAME_LABEL, PART_OF_LABEL, ROLE_LABEL
from pairsim.model.status import Role
from pairsim_controller.kube.api.objects import AreaObject

Body = dict[str, object]


def belongings(area: AreaObject) -> tuple[Body, ...]:
    """All of them; the area owns them, so that they go with it."""
    name = area.metadata.name
    return (
        _service(area, name, {AREA_LABEL: name, ROLE_LABEL: Role.ACTIVE.value}),
        _service(area, f"{name}-any", {AREA_LABEL: name}),
        {
            **_head(area, "policy/v1", "PodDisruptionBudget", name),
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {AREA_LABEL: name}}},
        },
    )


def _service(area: AreaObject, name: str, selector: dict[str, str]) -> Body:
    port = {"name": "http", "protocol": "TCP", "port": 80, "targetPort": "http"}
    return {**_head(area, "v1", "Service", name), "spec": {"selector": selector, "ports": [port]}}


def _head(area: AreaObject, version: str, kind: str, name: str) -> Body:
    owner = {
        "apiVersion": API_VERSION,
        "kind": "Area",
        "name": area.metadata.name,
        "uid": area.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
    labels = {PART_OF_LABEL: APP_NAME, NAME_LABEL: APP_NAME, AREA_LABEL: area.metadata.name}
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, "labels": labels, "ownerReferences": [owner]},
    }


def stands(wanted: object, found: object) -> bool:
    """Whether an object has all that is wanted of it; what the API server or others added does not matter."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(stands(value, found.get(key)) for key, value in wanted.items())
    if isinstance(wanted, list):
        return (
            isinstance(found, list)
            and len(found) == len(wanted)
            and all(stands(mine, theirs) for mine, theirs in zip(wanted, found, strict=True))
        )
    return wanted == found
