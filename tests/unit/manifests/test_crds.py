"""The kinds on Kubernetes are the documents of a local world: the same fields, defaults and limits."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
import yaml

from pairsim.model.assignment import Assignment, Member
from pairsim.model.documents.manifests import AreaManifestSpec, PlaneSpec
from pairsim.model.status import ReplicaStatus
from tests.unit.manifests.rendered import MANIFESTS, ROOT, Object, of_kind, overlay

SPECS = {"Plane": PlaneSpec, "Area": AreaManifestSpec}
# What `kubectl scale` writes; a local world has the areas of its file.


def crd(kind: str) -> Object:
    found: Object = yaml.safe_load((MANIFESTS / "cluster" / f"crd-{kind.lower()}s.yaml").read_text())
    assert found["spec"]["names"]["kind"] == kind
    return found


def schema(kind: str) -> Object:
    (version,) = crd(kind)["spec"]["versions"]
    found: Object = version["schema"]["openAPIV3Schema"]
    return found


def nodes(node: Object, path: str = "") -> list[tuple[str, Object]]:
    """All schemas within a schema."""
    inner = [(f"{path}.{name}", sub) for name, sub in node.get("properties", {}).items()]
    inner += [(f"{path}[]", node["items"])] if "items" in node else []
    return [(path, node), *(found for name, sub in inner for found in nodes(sub, name))]


def rules(node: Object) -> list[str]:
    return [rule["rule"] for rule in node.get("x-kubernetes-validations", [])]


def mistakes(value: object, node: Object, path: str = "") -> list[str]:
    """What an API server would refuse of a value, by the part of OpenAPI that the kinds use."""
    types = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float)}
    if not isinstance(value, types[node["type"]]) or (isinstance(value, bool) and node["type"] != "boolean"):
        return [f"{path} is no {node['type']}"]
    found: list[str] = []
    if isinstance(value, dict):
        properties = node.get("properties")
        found += [f"{path}.{name} is missing" for name in node.get("required", []) if name not in value]
        if properties is not None and node.get("x-kubernetes-preserve-unknown-fields") is not True:
            found += [f"{path}.{name} is unknown" for name in value.keys() - properties.keys()]
        for name, sub in (properties or {}).items():
            found += mistakes(value[name], sub, f"{path}.{name}") if name in value else []
    elif isinstance(value, list):
        if not node.get("minItems", 0) <= len(value) <= node.get("maxItems", len(value)):
            found.append(f"{path} has {len(value)} items")
        for place, item in enumerate(value):
            found += mistakes(item, node["items"], f"{path}[{place}]")
    elif not isinstance(value, bool):
        found += _scalar_mistakes(value, node, path)
    return found


def _scalar_mistakes(value: object, node: Object, path: str) -> list[str]:
    if isinstance(value, str):
        fits = node.get("minLength", 0) <= len(value) <= node.get("maxLength", len(value))
        fits = fits and re.search(node.get("pattern", ""), value) is not None and value in node.get("enum", [value])
    else:
        assert isinstance(value, int | float)
        fits = node.get("minimum", value) <= value <= node.get("maximum", value)
        fits = fits and not (node.get("exclusiveMinimum") and value == node["minimum"])
    return [] if fits else [f"{path} is {value}"]


def limits(node: Object, definitions: Object) -> Object:
    """A schema in one form, whether msgspec wrote it (JSON Schema) or we did (OpenAPI)."""
    node = definitions.get(node.get("$ref", "").rpartition("/")[2], {}) | node
    found: Object = {key: node[key] for key in ("type", "pattern", "minItems", "maxItems", "default") if key in node}
    low = node.get("exclusiveMinimum")
    if low is not None:
        found["above"] = node["minimum"] if low is True else low
    elif "minimum" in node:
        found["from"] = node["minimum"]
    if "maximum" in node and node["maximum"] != 2**63 - 1:  # that of int64
        found["to"] = node["maximum"]
    if "properties" in node:
        found["required"] = set(node.get("required", []))
        found["properties"] = {name: limits(sub, definitions) for name, sub in node["properties"].items()}
    if found.get("type") == "array":
        items = node["prefixItems"] if "prefixItems" in node else [node["items"]] * node["minItems"]
        found["items"] = [limits(item, definitions) for item in items]
    return found


@pytest.mark.parametrize("kind", SPECS)
def test_the_kind_is_the_document(kind: str) -> None:
    written = msgspec.json.schema(SPECS[kind])
    document = limits(written["$defs"][SPECS[kind].__name__], written["$defs"])
    mine = limits(schema(kind)["properties"]["spec"], {})
    assert mine == document


@pytest.mark.parametrize("kind", SPECS)
def test_integers_have_the_width_of_the_documents(kind: str) -> None:
    for path, node in nodes(schema(kind)):
        assert node["type"] != "integer" or node["format"] in {"int32", "int64"}, path


@pytest.mark.parametrize("path", [ROOT / "examples/two-areas.yaml", *sorted((MANIFESTS / "samples").glob("*.yaml"))])
def test_examples_and_samples_are_accepted(path: Path) -> None:
    documents = list(yaml.safe_load_all(path.read_text()))
    assert documents
    for document in documents:
        assert mistakes(document["spec"], schema(document["kind"])["properties"]["spec"]) == []


BOUNDS = {"min": [0, 0, 0], "max": [1, 1.5, 2]}


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("Plane", {"simulator": ""}),
        ("Plane", {"simulator": None}),
        ("Plane", {"tickRate": 0}),
        ("Plane", {"tickRate": 1001}),
        ("Plane", {"tickrate": 20}),
        ("Plane", {"seed": -1}),
        ("Plane", {"seed": 0.5}),
        ("Plane", {"areas": -1}),
        ("Plane", {"detection": {"electionTimeoutMs": 99}}),
        ("Plane", {"detection": {"hangSeconds": 0.1}}),
        ("Plane", {"detection": {"heartbeatMs": 30}}),
        ("Plane", {"bounds": {"min": [0, 0], "max": [1, 1, 1]}}),
        ("Plane", {"bounds": {"min": [0, 0, 0]}}),
        ("Area", {"plane": "Physics"}),
        ("Area", {"plane": "p" * 64}),
        ("Area", {"entities": -1}),
        ("Area", {"entities": 50_000_001}),
        ("Area", {"bounds": None}),
    ],
)
def test_what_is_wrong_is_refused(kind: str, change: Object) -> None:
    right: Object = {"Plane": {"simulator": "physics"}, "Area": {"plane": "physics"}}[kind] | {"bounds": BOUNDS}
    spec = schema(kind)["properties"]["spec"]
    assert mistakes(right, spec) == []
    assert mistakes(right | change, spec)


def test_what_a_world_is_stays() -> None:
    """But for the number of areas, which `kubectl scale` changes, and for what spares keep ready."""
    assert "self == oldSelf" in rules(schema("Area")["properties"]["spec"])
    properties = schema("Plane")["properties"]["spec"]["properties"]
    mutable = {name for name, node in properties.items() if "self == oldSelf" not in rules(node)}
    assert mutable == {"areas", "warmEngines"}
    # A rule with oldSelf is not asked about a field that comes or goes: so every field is always there.
    required = schema("Plane")["properties"]["spec"]["required"]
    assert all(name in required or "default" in node for name, node in properties.items() if name not in mutable)


@pytest.mark.parametrize("kind", SPECS)
def test_bounds_are_compared_on_every_axis(kind: str) -> None:
    (rule,) = (r for r in rules(schema(kind)["properties"]["spec"]["properties"]["bounds"]) if "<" in r)
    assert rule == " && ".join(f"self.min[{axis}] < self.max[{axis}]" for axis in range(3))


@pytest.mark.parametrize("kind", SPECS)
def test_names_are_those_that_replicas_take(kind: str) -> None:
    (rule,) = (r for r in rules(schema(kind)) if "size()" in r)
    length, pattern = re.findall(r"<= (\d+) && .*matches\('(.+)'\)", rule)[0]
    name = re.compile(r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")
    # Service names (RFC 1035): 63 letters with the longest suffix, none of them a digit at the start.
    assert int(length) == (63 - len("-any") if kind == "Area" else 63)
    for candidate in ("a", "a-1", "1a", "a" * 59, "a" * 60, "a" * 64, "A", "a.b", "-a", "a-", "", "a\n", "ä"):
        taken = len(candidate) <= int(length) and re.search(pattern.replace("$", r"\Z"), candidate) is not None
        assert not taken or name.match(candidate), candidate
        if kind == "Plane":
            assert taken == (re.fullmatch(name, candidate) is not None), candidate
        elif taken:
            assert candidate[0].isalpha(), candidate


def test_no_area_takes_the_name_of_what_the_world_consists_of() -> None:
    """The controller names a Service `<area>`, another one `<area>-any`, and a disruption budget `<area>`."""
    assert {"!self.metadata.name.endsWith('-any')", "!self.metadata.name.startsWith('pairsim-')"} <= set(
        rules(schema("Area"))
    )
    for o in of_kind(overlay("default"), "Service", "PodDisruptionBudget"):
        assert o["metadata"]["name"].startswith("pairsim-")


@pytest.mark.parametrize("kind", SPECS)
def test_whatever_is_written_is_bounded(kind: str) -> None:
    """The cost of a rule is estimated from the bounds, and etcd has to hold the object."""
    for path, node in nodes(schema(kind)):
        if path.startswith((".spec", ".status")):
            assert node["type"] != "array" or "maxItems" in node, path
            assert node["type"] != "string" or node.keys() & {"maxLength", "enum", "format"}, path
            if node["type"] == "object":
                assert "properties" in node or "maxProperties" in node, path


@pytest.mark.parametrize("kind", SPECS)
def test_every_field_of_a_user_is_described(kind: str) -> None:
    for path, node in nodes(schema(kind)["properties"]["spec"], ".spec"):
        assert path.endswith("[]") or node.get("description"), path


@pytest.mark.parametrize("kind", SPECS)
def test_status_is_a_subresource_with_conditions_by_type(kind: str) -> None:
    (version,) = crd(kind)["spec"]["versions"]
    assert version["subresources"]["status"] == {}
    status = schema(kind)["properties"]["status"]["properties"]
    assert status["observedGeneration"]["type"] == "integer"
    assert status["conditions"]["x-kubernetes-list-type"] == "map"
    assert status["conditions"]["x-kubernetes-list-map-keys"] == ["type"]


@pytest.mark.parametrize("kind", SPECS)
def test_columns_and_scale_name_fields_that_exist(kind: str) -> None:
    (version,) = crd(kind)["spec"]["versions"]
    known = {path for path, _ in nodes(schema(kind))} | {".metadata.creationTimestamp"}
    columns = {c["name"]: c["jsonPath"].partition("[?")[0] for c in version["additionalPrinterColumns"]}
    assert set(columns.values()) <= known
    if kind == "Area":
        assert list(columns)[:11] == [
            "Plane", "Active", "Passive", "Term", "Tick", "Synced", "Entities", "In", "Out", "Last Takeover", "Age",
        ]  # fmt: skip
    else:
        scale = version["subresources"]["scale"]
        assert scale["specReplicasPath"] == ".spec.areas"
        assert set(scale.values()) <= known


def test_the_recorded_assignment_is_one() -> None:
    recorded = schema("Area")["properties"]["status"]["properties"]["assignment"]
    assert recorded["properties"].keys() == set(Assignment.__struct_fields__) - {"spec"}
    for member in (recorded["properties"]["witness"], recorded["properties"]["replicas"]["items"]):
        assert member["properties"].keys() == set(Member.__struct_fields__) == set(member["required"])
    numbers = {"term", "tick", "entities", "generation"}
    assert numbers <= set(ReplicaStatus.__struct_fields__) & schema("Area")["properties"]["status"]["properties"].keys()


@pytest.mark.parametrize("kind", SPECS)
def test_a_short_name_as_promised(kind: str) -> None:
    names = crd(kind)["spec"]["names"]
    assert names["shortNames"] == [kind.lower()]
    assert crd(kind)["metadata"]["name"] == f"{kind.lower()}s.pairsim.io"


def test_the_policy_watches_planes_alone() -> None:
    policy, binding = yaml.safe_load_all((MANIFESTS / "cluster/plane-parameters.yaml").read_text())
    (rule,) = policy["spec"]["matchConstraints"]["resourceRules"]
    assert (rule["resources"], rule["operations"]) == (["planes"], ["CREATE", "UPDATE"])
    assert binding["spec"]["policyName"] == policy["metadata"]["name"]
    assert binding["spec"]["validationActions"] == ["Deny"]
