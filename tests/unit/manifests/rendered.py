"""The manifests as a user applies them, built by the real kustomize."""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
MANIFESTS = ROOT / "manifests"
OVERLAYS = ("default", "small")

Object = dict[str, Any]


@functools.cache
def _kustomize() -> tuple[str, ...] | None:
    if shutil.which("kubectl"):
        return "kubectl", "kustomize"
    if shutil.which("kustomize"):
        return "kustomize", "build"
    return None


def build(folder: Path) -> list[Object]:
    """All objects of a kustomization."""
    command = _kustomize()
    if command is None:
        pytest.skip("neither kubectl nor kustomize is installed")
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


@functools.cache
def overlay(name: str) -> list[Object]:
    return build(MANIFESTS / "overlays" / name)


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    return [o for o in objects if o["kind"] in kinds]


def deployments(objects: list[Object]) -> dict[str, Object]:
    """By component."""
    return {
        o["metadata"]["labels"]["app.kubernetes.io/component"]: o["spec"]["template"]
        for o in of_kind(objects, "Deployment")
    }


def containers(template: Object) -> Iterator[Object]:
    yield from template["spec"].get("initContainers", [])
    yield from template["spec"]["containers"]


def selects(selector: Object, labels: dict[str, str]) -> bool:
    """Kubernetes' label selectors."""
    operators = {
        "In": lambda e: labels.get(e["key"]) in e["values"],
        "NotIn": lambda e: labels.get(e["key"]) not in e["values"],
        "Exists": lambda e: e["key"] in labels,
        "DoesNotExist": lambda e: e["key"] not in labels,
    }
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        operators[e["operator"]](e) for e in selector.get("matchExpressions", [])
    )
