"""What a cluster sees: the two kinds of object, what is applied from the manifests, and what the controller makes."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import yaml

from tests.contract import examples, product, product_cluster
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
        "watched": product_cluster.resources(),
        "finalizer of an Area": product_cluster.finalizer(),
        "lease": _timeless(asyncio.run(product_cluster.lease())),
        "requests": _timeless(asyncio.run(product_cluster.requests())),
        "what is written on a pod": product_cluster.pod_patches(),
        "of an Area": list(product.area_belongings(area)),
        "status of an Area": product.area_status_body(examples.AREA_STATUS),
        "secret": secret,
    }


def _timeless(value: object) -> object:
    """Returns a document with words for times and for digests that times are in."""
    if isinstance(value, dict):
        return {key: _timeless(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_timeless(inner) for inner in value]
    if isinstance(value, str):
        return re.sub(r"\.[0-9a-f]{16}$", ".<digest>", re.sub(r"^\d{4}-\d\d-\d\dT[\d:.]{15}Z$", "<time>", value))
    return value


def conditions() -> dict[str, object]:
    """Returns the conditions of Areas and Planes in many situations."""
    spec = {"simulator": "physics", "bounds": examples.BOX}
    plane: Object = {"metadata": {"name": "physics"}, "spec": spec}
    area: Object = {"metadata": {"name": "north"}, "spec": {"plane": "physics", "bounds": examples.BOX}}
    good = [_condition("Ready"), _condition("Redundant"), _condition("Degraded", "False")]
    well, badly = ({**area, "status": {"conditions": c}} for c in (good, [_condition("Degraded")]))
    return {
        "of an Area": product_cluster.conditions(),
        "of a Plane": {
            "without areas": product_cluster.plane_conditions(plane, []),
            "all well": product_cluster.plane_conditions(plane, [well]),
            "one badly": product_cluster.plane_conditions(plane, [well, badly]),
            "cut already": product_cluster.plane_conditions({**plane, "spec": {**spec, "areas": 4}}, [well]),
        },
    }


def _condition(kind: str, status: str = "True", reason: str = "Because") -> Object:
    return examples.CONDITION | {"type": kind, "status": status, "reason": reason, "message": reason}


def events() -> dict[str, object]:
    """Returns the reasons of the events about an Area, and which of them are warnings."""
    none: Object = {}
    founded = {"assignment": examples.STORED | {"generation": 1, "joins": []}}
    second, adopted = {"assignment": examples.STORED}, {"assignment": examples.STORED | {"joins": []}}
    steps: dict[str, tuple[Object, Object]] = {
        "founded": (none, founded),
        "replacing": (founded, second),
        "adopted": (founded, adopted),
        "released": (founded, none),
        "backed up": (none, {"backup": "x"}),
    }
    plain = {"conditions": [_condition("Degraded", "False", "Whole")]}
    for reason in ("Waiting", "Slow", "Paused", "Repairing"):
        steps[reason] = plain, {"conditions": [_condition("Degraded", "True", reason)]}
    steps["resumed"] = steps["Paused"][1], plain
    entries = {
        "takeover": "takeover", "switchover": "switchover", "Ready": "founded", "not Ready": "standstill",
        "Ready again": "resumed", "Redundant": "redundant", "not Redundant": "lost", "Redundant again": "restored",
        "diverged": "diverged",
    }  # fmt: skip
    told = {name: product_cluster.told(*step) for name, step in steps.items()}
    return told | {name: product_cluster.entry_told(kind) for name, kind in entries.items()}
