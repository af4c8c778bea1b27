"""What a cluster sees: the two kinds of object, what is applied from the manifests, and what the controller makes."""

from __future__ import annotations

from typing import Any

import yaml

from tests.contract import examples, product
from tests.contract.shapes import without_prose

Object = dict[str, Any]
_KUSTOMIZATIONS = ("base", "cluster", "overlays/default", "overlays/small")


def definitions() -> dict[str, object]:
    """Returns the custom resource definitions without their descriptions."""
    found = {}
    for path in sorted(product.MANIFESTS.glob("**/*.yaml")):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            if isinstance(document, dict) and document.get("kind") == "CustomResourceDefinition":
                found[document["metadata"]["name"]] = without_prose(document["spec"])
    return found


def manifests() -> dict[str, object]:
    """Returns the objects of each kustomization, by kind and name."""
    return {name: _objects(product.kustomized(product.MANIFESTS / name)) for name in _KUSTOMIZATIONS}


def _objects(documents: list[Object]) -> dict[str, object]:
    found = {f"{one['kind']} {one['metadata'].get('namespace', '')}/{one['metadata']['name']}": one
             for one in documents}  # fmt: skip
    return {name: _object(one) for name, one in sorted(found.items())}


def _object(one: Object) -> dict[str, object]:
    described: dict[str, object] = {"labels": one["metadata"].get("labels", {})}
    if one["metadata"].get("annotations"):
        described["annotations"] = sorted(one["metadata"]["annotations"])
    if one.get("rules"):
        described["rules"] = one["rules"]
    if one["kind"] == "Service":
        described |= {"selector": one["spec"].get("selector"), "ports": one["spec"].get("ports")}
    template = one.get("spec", {}).get("template") if isinstance(one.get("spec"), dict) else None
    if template and "spec" in template:
        pod = template["spec"]
        described["pod labels"] = template["metadata"].get("labels", {})
        described["pod annotations"] = sorted(template["metadata"].get("annotations", {}))
        described["service account"] = pod.get("serviceAccountName")
        described["volumes"] = sorted(volume["name"] for volume in pod.get("volumes", []))
        described["containers"] = {c["name"]: _container(c) for c in pod.get("initContainers", []) + pod["containers"]}
    return described


def _container(one: Object) -> dict[str, object]:
    probes = ("startupProbe", "readinessProbe", "livenessProbe")
    return {
        "command": one.get("command", []),
        "args": one.get("args", []),
        "environment": sorted(variable["name"] for variable in one.get("env", [])),
        "ports": {port["name"]: port["containerPort"] for port in one.get("ports", [])},
        "probes": {name: one[name].get("httpGet", {}).get("path") for name in probes if name in one},
        "mounts": {mount["name"]: mount["mountPath"] for mount in one.get("volumeMounts", [])},
    }


def made() -> dict[str, object]:
    """Returns what the controller makes beside pods: of an Area, and of a world."""
    area: dict[str, object] = {
        "metadata": {"name": "north", "namespace": "worlds", "uid": "u"},
        "spec": {"plane": "physics", "bounds": examples.BOX},
    }
    secret = dict(product.new_secret())
    secret["data"] = sorted(secret["data"]) if isinstance(secret["data"], dict) else None
    return {
        "of an Area": list(product.area_belongings(area)),
        "status of an Area": product.area_status_body(examples.AREA_STATUS),
        "secret": secret,
    }
