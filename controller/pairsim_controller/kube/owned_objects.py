"""The objects that an area owns besides its pods: two Services and a disruption budget; pure."""

from __future__ import annotations

from pairsim.model.labels import AREA_LABEL, ROLE_LABEL
from pairsim.model.status import Role
from pairsim_controller.kube.api.objects import AreaObject, owner_reference, world_labels
from pairsim_controller.kube.api.port import Body


def owned_objects(area: AreaObject) -> tuple[Body, ...]:
    """Returns the objects as they should be; they name the area as their owner, so they are deleted with it."""
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
    spec = {"ipFamilyPolicy": "PreferDualStack", "selector": selector, "ports": [port]}
    return {**_head(area, "v1", "Service", name), "spec": spec}


def _head(area: AreaObject, version: str, kind: str, name: str) -> Body:
    labels = {**world_labels(), AREA_LABEL: area.metadata.name}
    owner = owner_reference("Area", area.metadata)
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, "labels": labels, "ownerReferences": [owner]},
    }


def compared_part(found: Body) -> Body:
    """Returns an object without the fields that no owned object sets: they take almost half of its memory."""
    metadata = found.get("metadata")
    kept = {key: value for key, value in found.items() if key != "status"}
    if isinstance(metadata, dict):
        kept["metadata"] = {key: value for key, value in metadata.items() if key != "managedFields"}
    return kept


def is_subset(wanted: object, found: object) -> bool:
    """Returns whether an object has all wanted values; fields that the API server or others added do not matter."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(is_subset(value, found.get(key)) for key, value in wanted.items())
    if isinstance(wanted, list):
        return (
            isinstance(found, list)
            and len(found) == len(wanted)
            and all(is_subset(mine, theirs) for mine, theirs in zip(wanted, found, strict=True))
        )
    return wanted == found
