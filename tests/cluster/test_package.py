"""A simulator outside of the image is installed from a wheel in a ConfigMap."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.native.images import ROOT
from tests.cluster.world import World, area, plane

pytestmark = pytest.mark.cluster

_OVERLAY = """
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: pairsim
resources: [../small]
components: [../../components/package-configmap]
configMapGenerator:
  - name: pairsim-package
    files: [growth-1.0-py3-none-any.whl]
"""


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    """Returns the manifests with an overlay that adds the simulator of docs/simulators.md."""
    shutil.copytree(ROOT / "manifests", tmp_path / "manifests")
    folder = tmp_path / "manifests" / "overlays" / "own"
    folder.mkdir()
    (folder / "kustomization.yaml").write_text(_OVERLAY)
    page = (ROOT / "docs" / "simulators.md").read_text()
    first = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert first is not None
    _wheel(folder / "growth-1.0-py3-none-any.whl", first.group(1))
    return folder


@pytest.fixture
def pool(world: World, overlay: Path) -> Iterator[None]:
    """Runs the pool with the package, and without it afterwards."""
    try:
        _apply(world, overlay)
        yield
    finally:
        _apply(world, ROOT / "manifests" / "overlays" / "small")


def test_a_simulator_from_a_wheel_simulates(world: World, pool: None) -> None:
    world.apply({**plane("growing"), "spec": {**plane("growing")["spec"], "simulator": "growth:Growth"}})
    world.apply(area("meadow", "growing", 50))
    try:
        world.redundant("meadow")
        status = world.get(world.role("meadow", "passive"), "/v1/status")
        assert status["entities"] == 50
        world.swapped("meadow", world.kill(world.role("meadow", "active")))
        world.redundant("meadow")
        assert world.get(world.role("meadow", "active"), "/v1/status")["tick"] > status["tick"]
    finally:
        world.kubectl("delete", "area", "meadow", "--timeout=60s", seconds=90)
        world.kubectl("delete", "plane", "growing")


def _apply(world: World, overlay: Path) -> None:
    world.cluster.kubectl("apply", "-k", str(overlay))
    world.kubectl("rollout", "status", "deployment/pairsim-simulator", "--timeout=240s", seconds=270)


def _wheel(path: Path, code: str) -> None:
    info = "growth-1.0.dist-info"
    content = {
        "growth.py": code,
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: growth\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()},"
        f"{len(text)}\n"
        for name, text in content.items()
    )
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in (content | {f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}).items():
            archive.writestr(name, text)
