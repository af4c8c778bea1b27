"""The schemas of Chaos Mesh's kinds, applied as strictly as `kubectl --validate=strict` does.

A structural schema lists the fields of a kind, and the API server silently drops all others: a typing error in
`direction` would turn the file into another experiment. Here an unknown field is an error.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TypeAlias

from jsonschema import Draft4Validator

from pairsim.model.labels import API_VERSION as PAIRSIM_API_VERSION

Schema: TypeAlias = dict[str, object]

VERSION = "2.8"
"""The version of Chaos Mesh that the schemas come from."""
API_GROUP = "chaos-mesh.org"
API_VERSION = f"{API_GROUP}/v1alpha1"
FAULTS = ("PodChaos", "NetworkChaos", "StressChaos", "TimeChaos", "IOChaos")
"""The kinds of Chaos Mesh that describe a single fault."""
LOCAL_FAULTS = ("EngineChaos",)
"""The kinds of pairsim's own for faults that Chaos Mesh does not have; only a world on this machine runs them."""
SINGLE_FAULTS = (*FAULTS, *LOCAL_FAULTS)
INSTANT_ACTIONS = ("pod-kill", "container-kill")
"""The actions of `PodChaos` that are complete at once and have no duration."""
KINDS = (*FAULTS, "Schedule", "Workflow", "StatusCheck")
"""The kinds of Chaos Mesh."""
ALL_KINDS = (*KINDS, *LOCAL_FAULTS)
INSTANT_ENGINE_ACTIONS = ("crash",)
"""The actions of `EngineChaos` that are complete at once and have no duration."""
CRDS = Path(__file__).parents[1] / "crds"

_DEFAULTED_FIELDS = ("gap",)
"""Required fields that Chaos Mesh's mutating webhook fills in, with a value that has the meaning of a missing field."""

_METADATA: Schema = {
    "type": "object",
    "properties": {
        **{name: {"type": "string"} for name in ("name", "generateName", "namespace")},
        **{name: {"type": "object", "additionalProperties": {"type": "string"}} for name in ("labels", "annotations")},
        "finalizers": {"type": "array", "items": {"type": "string"}},
        # These fields appear in files that were read back from a cluster.
        **{
            name: {}
            for name in (
                "creationTimestamp",
                "deletionGracePeriodSeconds",
                "deletionTimestamp",
                "generation",
                "managedFields",
                "ownerReferences",
                "resourceVersion",
                "selfLink",
                "uid",
            )
        },
    },
}
"""The schema of ObjectMeta, which the CRDs leave to the API server."""


def strict(schema: Schema) -> Schema:
    """Returns the JSON Schema (draft 4) of a structural schema; the result rejects unknown fields.

    Any field stays allowed where the schema says so (`additionalProperties`, `x-kubernetes-preserve-unknown-fields`)
    and where it lists no fields. A `nullable` field may be null. Source of the rules: Kubernetes' "Extend the
    Kubernetes API with CustomResourceDefinitions".
    """
    if schema.get("x-kubernetes-embedded-resource"):
        schema = {**schema, "properties": {**_embedded(), **_mapping(schema.get("properties"))}}
    made: Schema = {key: value for key, value in schema.items() if not key.startswith("x-") and key != "nullable"}
    for key in ("properties", "patternProperties"):
        if key in schema:
            made[key] = {name: strict(_mapping(each)) for name, each in _mapping(schema[key]).items()}
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            made[key] = strict(_mapping(schema[key]))
    free = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if "properties" in schema and not free:
        made["additionalProperties"] = False
    required = made.get("required")
    if isinstance(required, list):
        made["required"] = [name for name in required if name not in _DEFAULTED_FIELDS]
    if made.get("type") == "integer":
        bits = 31 if schema.get("format") == "int32" else 63
        made = {"minimum": -(2**bits), "maximum": 2**bits - 1, **made}
    if schema.get("x-kubernetes-int-or-string"):
        made.pop("anyOf", None)
        made["type"] = ["integer", "string"]
    kind = made.get("type")
    if schema.get("nullable") and kind is not None:
        made["type"] = [*(kind if isinstance(kind, list) else [kind]), "null"]
    return made


def _embedded() -> Schema:
    return {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": _METADATA}


def _mapping(value: object) -> Schema:
    return value if isinstance(value, dict) else {}


@functools.cache
def spec_schema(kind: str) -> Schema:
    """Returns the structural schema of a kind's spec, with the specs that it embeds."""
    packaged = json.loads((CRDS / f"{kind}.json").read_text())
    return _mapping(_dereferenced(packaged["spec"]))


def _dereferenced(value: object) -> object:
    if isinstance(value, dict):
        kind = value.get("$kind")
        return spec_schema(kind) if isinstance(kind, str) else {key: _dereferenced(each) for key, each in value.items()}
    return value


def api_version(kind: str) -> str:
    """Returns the API version of a kind: that of Chaos Mesh, or pairsim's own."""
    return PAIRSIM_API_VERSION if kind in LOCAL_FAULTS else API_VERSION


@functools.cache
def validator(kind: str) -> Draft4Validator:
    """Returns a validator for whole documents of a kind.

    Args:
        kind: One of `ALL_KINDS`.
    """
    whole: Schema = {
        "type": "object",
        "properties": {
            "apiVersion": {"type": "string", "enum": [api_version(kind)]},
            "kind": {"type": "string", "enum": [kind]},
            "metadata": _METADATA,
            "spec": spec_schema(kind),
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        },
        "required": ["apiVersion", "kind", "metadata", "spec"],
    }
    return Draft4Validator(strict(whole))


@functools.cache
def plural(kind: str) -> str:
    """Returns the name of a kind in paths of the API."""
    name = json.loads((CRDS / f"{kind}.json").read_text())["plural"]
    return str(name)
