"""A deleted area leaves a backup of its last state, and another area can begin with it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.native.images import ROOT
from tests.cluster.world import NAMESPACE, World, area, eventually, plane

pytestmark = pytest.mark.cluster

_ENTITIES = 700
# Not every cluster has volumes for several nodes: here each controller has its own.
_OVERLAY = """
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: pairsim
resources: [../small]
components: [../../components/backups]
patches:
  - patch: |
      $patch: delete
      apiVersion: v1
      kind: PersistentVolumeClaim
      metadata: {name: pairsim-backups}
  - target: {kind: Deployment, name: pairsim-controller}
    patch: |
      - {op: replace, path: /spec/template/spec/volumes/0, value: {name: backups, emptyDir: {}}}
"""


@pytest.fixture
def keeping(world: World, tmp_path: Path) -> Iterator[None]:
    """Runs controllers that keep backups; restores the others afterwards."""
    shutil.copytree(ROOT / "manifests", tmp_path / "manifests")
    folder = tmp_path / "manifests" / "overlays" / "own"
    folder.mkdir()
    (folder / "kustomization.yaml").write_text(_OVERLAY)
    try:
        _apply(world, folder)
        yield
    finally:
        _apply(world, ROOT / "manifests" / "overlays" / "small")


def test_a_deleted_area_is_kept_and_comes_back(world: World, keeping: None) -> None:
    world.apply(plane("kept"))
    try:
        world.apply(area("attic", "kept", _ENTITIES))
        world.redundant("attic")
        before = _entities(world, "attic")
        world.kubectl("delete", "area", "attic", "--timeout=60s", seconds=90)
        controller, file = _kept(world)

        world.apply(area("attic", "kept", 0))
        world.redundant("attic")
        restore = f"gzip -dc {file} | pairsim send attic --url http://attic.{NAMESPACE}.svc"
        told = world.kubectl("exec", controller, "--", "sh", "-c", restore, seconds=60)
        assert f"... {_ENTITIES} applied" in told
        assert _entities(world, "attic") == before
    finally:
        world.kubectl("delete", "area", "attic", "--ignore-not-found", "--timeout=60s", seconds=90)
        world.kubectl("delete", "plane", "kept")


def _kept(world: World) -> tuple[str, str]:
    """Returns the path of the only backup."""
    found = []
    for pod in world.kubectl("get", "pods", "-l", "app.kubernetes.io/component=controller", "-o", "name").split():
        files = world.kubectl("exec", pod, "--", "sh", "-c", "ls /backups/*.gz 2>/dev/null || true").split()
        found += [(pod, file) for file in files]
    (only,) = found
    return only


def _entities(world: World, name: str) -> set[int]:
    answer = world.get(world.role(name, "active"), f"/v1/entities?limit={2 * _ENTITIES}")
    return {entity["id"] for entity in answer["entities"]}


def _apply(world: World, overlay: Path) -> None:
    world.cluster.kubectl("apply", "-k", str(overlay))
    world.kubectl("rollout", "status", "deployment/pairsim-controller", "--timeout=120s", seconds=150)
    eventually("one controller is left of each", lambda: _controllers(world) == 2, 60)


def _controllers(world: World) -> int:
    pods = world.kubectl("get", "pods", "-l", "app.kubernetes.io/component=controller", "-o", "name")
    return len(pods.split())
