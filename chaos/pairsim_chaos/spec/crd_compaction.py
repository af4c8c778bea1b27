"""Makes the packaged schemas (`crds`) from the CRDs of Chaos Mesh: `python -m (this module) FOLDER`.

The CRDs are 1.5 MB; most of that is prose and repeated specs. The packaged schemas keep only the parts that a check
needs: a spec embedded in another kind is replaced by its name, and a kind that pairsim cannot run may hold anything.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import yaml

from pairsim_chaos.spec.schema import CRDS, VERSION, Schema

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
"""The CRD file of each kind; a kind comes after the kinds that it embeds."""

_REMOVED_KEYS = frozenset({"description", "default", "x-kubernetes-map-type"}) | frozenset(
    f"x-kubernetes-list-{word}" for word in ("type", "map-keys")
)
_ANYTHING: Schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def compact(folder: Path) -> dict[str, Schema]:
    """Returns the packaged schema of every kind.

    Args:
        folder: The folder with the CRDs, one file for each kind.

    Raises:
        OSError: A file is missing.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    specs: dict[str, Schema] = {}
    packaged: dict[str, Schema] = {}
    for kind, file in _FILES.items():
        crd = yaml.load((folder / f"{file}.yaml").read_text(), loader)  # noqa: S506 - a safe loader, in C where there is one
        names = crd["spec"]["names"]
        spec = _stripped(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"])
        packaged[kind] = {
            "notice": NOTICE,
            "chaosMesh": VERSION,
            "kind": names["kind"],
            "plural": names["plural"],
            "spec": _with_references(spec, specs),
        }
        specs[kind] = spec
    return packaged


def _stripped(schema: Schema, *, names: bool = False) -> Schema:
    """Removes the keys that checks do not need.

    `names` says that the keys are names of fields and not words of the schema language.
    """
    return {
        key: _stripped(value, names=key == "properties" and not names) if isinstance(value, dict) else value
        for key, value in schema.items()
        if names or key not in _REMOVED_KEYS
    }


def _with_references(schema: Schema, specs: dict[str, Schema]) -> Schema:
    """Replaces each embedded spec by a reference to its kind."""
    return {key: _reference(key, value, specs) if isinstance(value, dict) else value for key, value in schema.items()}


def _reference(key: str, value: Schema, specs: dict[str, Schema]) -> Schema:
    same = next((kind for kind, spec in specs.items() if spec == value), None)
    if same is not None:
        return {"$kind": same}
    return _ANYTHING if key.endswith("Chaos") else _with_references(value, specs)


def to_json(schema: Schema) -> str:
    """Returns the text of a packaged file."""
    return json.dumps(schema, separators=(",", ":"), sort_keys=True) + "\n"


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
def main(folder: Path) -> None:
    """Writes the schemas of this package from the CRDs of Chaos Mesh in FOLDER."""
    for kind, schema in compact(folder).items():
        (CRDS / f"{kind}.json").write_text(to_json(schema))


if __name__ == "__main__":
    main()
