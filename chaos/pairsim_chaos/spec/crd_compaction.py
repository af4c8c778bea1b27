"""Makes the packaged schemas (`crds`) from the CRDs of Chaos Mesh: `python -m (this module) FOLDER`.

The CRDs are 1.5 MB, most of it prose and the same specs again and again. Kept is what a check needs: of a spec that is
embedded in another kind only its name, of kinds that pairsim cannot run only that they exist.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import yaml

from pairsim_chaos.spec.schema import CRDS, Schema

VERSION = "2.8"
"""Of Chaos Mesh; the API version is chaos-mesh.org/v1alpha1."""

NOTICE = (
    "From the CustomResourceDefinitions of Chaos Mesh. Copyright Chaos Mesh Authors. Licensed under the Apache License,"
    " Version 2.0 (http://www.apache.org/licenses/LICENSE-2.0). Changed: descriptions, defaults and list types are left"
    ' out; an embedded spec is named ("$kind"); kinds that pairsim does not run may hold anything.'
)
_FILES = {
    "PodChaos": "podchaos",
    "NetworkChaos": "networkchaos",
    "StressChaos": "stresschaos",
    "TimeChaos": "timechaos",
    "IOChaos": "iochaos",
    "StatusCheck": "statuschecks",
    "Workflow": "workflows",
    "Schedule": "schedules",
}
"""File of each kind. A kind stands after those that it embeds."""

_LEFT_OUT = frozenset({"description", "default", "x-kubernetes-map-type"}) | frozenset(
    f"x-kubernetes-list-{word}" for word in ("type", "map-keys")
)
_ANYTHING: Schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def compact(folder: Path) -> dict[str, Schema]:
    """The packaged schema of every kind.

    Args:
        folder: With the CRDs, one file a kind.

    Raises:
        OSError: One is not there.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    specs: dict[str, Schema] = {}
    packaged: dict[str, Schema] = {}
    for kind, file in _FILES.items():
        crd = yaml.load((folder / f"{file}.yaml").read_text(), loader)  # noqa: S506 - a safe loader, in C where there is one
        names = crd["spec"]["names"]
        spec = _bare(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"])
        packaged[kind] = {
            "notice": NOTICE,
            "chaosMesh": VERSION,
            "kind": names["kind"],
            "plural": names["plural"],
            "spec": _named(spec, specs),
        }
        specs[kind] = spec
    return packaged


def _bare(schema: Schema, *, names: bool = False) -> Schema:
    """Without what no check needs. `names`: its keys are names of fields, not words of the schema language."""
    return {
        key: _bare(value, names=key == "properties" and not names) if isinstance(value, dict) else value
        for key, value in schema.items()
        if names or key not in _LEFT_OUT
    }


def _named(schema: Schema, specs: dict[str, Schema]) -> Schema:
    """With a name in place of each embedded spec."""
    return {key: _name(key, value, specs) if isinstance(value, dict) else value for key, value in schema.items()}


def _name(key: str, value: Schema, specs: dict[str, Schema]) -> Schema:
    same = next((kind for kind, spec in specs.items() if spec == value), None)
    if same is not None:
        return {"$kind": same}
    return _ANYTHING if key.endswith("Chaos") else _named(value, specs)


def written(schema: Schema) -> str:
    """The text of a packaged file."""
    return json.dumps(schema, separators=(",", ":"), sort_keys=True) + "\n"


if __name__ == "__main__":
    for _kind, _schema in compact(Path(sys.argv[1])).items():
        (CRDS / f"{_kind}.json").write_text(written(_schema))
