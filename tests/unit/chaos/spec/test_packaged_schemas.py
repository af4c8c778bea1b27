"""The packaged schemas match those of Chaos Mesh, and are strict."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pairsim_chaos.spec.crd_compaction import compact, to_json
from pairsim_chaos.spec.schema import (
    ALL_KINDS,
    API_VERSION,
    CRDS,
    KINDS,
    LOCAL_FAULTS,
    VERSION,
    Schema,
    api_version,
    plural,
    spec_schema,
    strict,
    validator,
)

ROOT = Path(__file__).parents[4]
ORIGINALS = Path(os.environ.get("CHAOS_MESH_CRDS", ROOT.parent / "shared" / "chaos-mesh-crds"))


@pytest.mark.skipif(not ORIGINALS.is_dir(), reason=f"no CRDs of Chaos Mesh in {ORIGINALS}; set CHAOS_MESH_CRDS")
def test_they_are_up_to_date_with_the_crds() -> None:
    made = compact(ORIGINALS)
    assert set(made) == set(KINDS)
    for kind, schema in made.items():
        assert (CRDS / f"{kind}.json").read_text() == to_json(schema), (
            f"run python -m pairsim_chaos.spec.crd_compaction {ORIGINALS}"
        )


@pytest.mark.parametrize("kind", KINDS)
def test_they_name_their_source(kind: str) -> None:
    packaged = json.loads((CRDS / f"{kind}.json").read_text())
    assert (packaged["kind"], packaged["chaosMesh"]) == (kind, VERSION)
    assert "Copyright Chaos Mesh Authors" in packaged["notice"]
    assert "Apache License, Version 2.0" in packaged["notice"]


@pytest.mark.parametrize("kind", LOCAL_FAULTS)
def test_pairsims_own_are_no_kinds_of_an_api_server(kind: str) -> None:
    packaged = json.loads((CRDS / f"{kind}.json").read_text())
    assert packaged["kind"] == kind
    assert "chaosMesh" not in packaged
    assert "no API server has it" in packaged["notice"]
    assert api_version(kind) == "pairsim.io/v1alpha1"


def test_an_engine_is_chosen_as_a_pod_is() -> None:
    mine, theirs = (spec_schema(kind)["properties"] for kind in ("EngineChaos", "PodChaos"))
    assert isinstance(mine, dict)
    assert isinstance(theirs, dict)
    assert mine.keys() - theirs.keys() == set()
    assert all(mine[name] == theirs[name] for name in ("selector", "mode", "value", "duration"))


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_they_are_valid_json_schemas(kind: str) -> None:
    checker = validator(kind)
    checker.check_schema(checker.schema)


def test_plurals_match_the_api() -> None:
    assert [plural(kind) for kind in ("PodChaos", "IOChaos", "Schedule", "Workflow", "StatusCheck")] == [
        *("podchaos", "iochaos", "schedules", "workflows", "statuschecks")
    ]


def _rejected(kind: str, spec: object) -> set[str]:
    document = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": "it"}, "spec": spec}
    return {".".join(map(str, error.absolute_path)) for error in validator(kind).iter_errors(document)}


def test_unknown_fields_are_rejected_at_any_depth() -> None:
    fault = {"action": "pod-kill", "mode": "one", "selector": {"labelSelectors": {"free": "text"}}}
    assert _rejected("PodChaos", fault) == set()
    assert _rejected("PodChaos", {**fault, "more": 1}) == {"spec"}
    assert _rejected("PodChaos", {**fault, "selector": {"more": 1}}) == {"spec.selector"}
    template = {"name": "kill", "templateType": "PodChaos", "podChaos": {**fault, "more": 1}}
    workflow = {"entry": "kill", "templates": [template]}
    assert _rejected("Workflow", workflow) == {"spec.templates.0.podChaos"}
    schedule = {"schedule": "@hourly", "type": "Workflow", "workflow": workflow}
    assert _rejected("Schedule", schedule) == {"spec.workflow.templates.0.podChaos"}


def test_unsupported_kinds_may_hold_anything() -> None:
    assert _rejected("Schedule", {"schedule": "@hourly", "type": "DNSChaos", "dnsChaos": {"any": ["thing"]}}) == set()


def test_a_quantity_is_an_integer_or_a_text() -> None:
    for cpu, refused in ((1, False), ("500m", False), (1.5, True), (None, True), ("lots", True)):
        container = {"name": "look", "resources": {"limits": {"cpu": cpu}}}
        template = {"name": "task", "templateType": "Task", "task": {"container": container}}
        assert bool(_rejected("Workflow", {"entry": "task", "templates": [template]})) == refused, cpu


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (
            {"type": "object", "properties": {"a": {"type": "string"}}},
            {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False},
        ),
        ({"type": "object"}, {"type": "object"}),
        (
            {"type": "object", "properties": {}, "x-kubernetes-preserve-unknown-fields": True},
            {"type": "object", "properties": {}},
        ),
        (
            {"type": "object", "additionalProperties": {"type": "object", "properties": {}}},
            {
                "type": "object",
                "additionalProperties": {"type": "object", "properties": {}, "additionalProperties": False},
            },
        ),
        ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
        ({"x-kubernetes-int-or-string": True, "anyOf": []}, {"type": ["integer", "string"]}),
        ({"type": "integer", "minimum": 1}, {"type": "integer", "minimum": 1, "maximum": 2**63 - 1}),
        (
            {"type": "array", "items": {"type": "object", "properties": {}}},
            {"type": "array", "items": {"type": "object", "properties": {}, "additionalProperties": False}},
        ),
        # A field may have the name of a keyword of the schema language.
        (
            {"type": "object", "properties": {"properties": {"type": "object"}, "items": {"type": "string"}}},
            {
                "type": "object",
                "properties": {"properties": {"type": "object"}, "items": {"type": "string"}},
                "additionalProperties": False,
            },
        ),
    ],
)
def test_a_structural_schema_becomes_strict(schema: Schema, expected: Schema) -> None:
    assert strict(schema) == expected


def test_an_embedded_object_has_kind_and_metadata() -> None:
    made = strict({"type": "object", "x-kubernetes-embedded-resource": True, "properties": {"spec": {}}})
    assert isinstance(made["properties"], dict)
    assert set(made["properties"]) == {"apiVersion", "kind", "metadata", "spec"}
    assert made["additionalProperties"] is False
