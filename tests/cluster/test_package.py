"""A simulator outside of the image is installed from a wheel in a ConfigMap, and updated by another one."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.native.images import ROOT
from tests.cluster.report import Report
from tests.cluster.stream import Stream, client_of
from tests.cluster.watcher import Object
from tests.cluster.world import NAMESPACE, World, area, plane

pytestmark = pytest.mark.cluster

_OVERLAY = """
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: pairsim
resources: [../small]
components: [../../components/package-configmap]
configMapGenerator:
  - name: pairsim-package
    files: [growth-VERSION-py3-none-any.whl]
"""
_AREA = "meadow"


class Package:
    """The simulator of docs/simulators.md in an overlay of its own."""

    def __init__(self, folder: Path) -> None:
        shutil.copytree(ROOT / "manifests", folder / "manifests")
        self.overlay = folder / "manifests" / "overlays" / "own"
        self.overlay.mkdir()
        page = (ROOT / "docs" / "simulators.md").read_text()
        first = re.search(r"```python\n(.*?)```", page, re.DOTALL)
        assert first is not None
        self.code = first.group(1)

    def write(self, version: str, code: str) -> None:
        """Puts another wheel into the overlay."""
        (self.overlay / "kustomization.yaml").write_text(_OVERLAY.replace("VERSION", version))
        _wheel(self.overlay / f"growth-{version}-py3-none-any.whl", version, code)


@pytest.fixture(scope="module")
def package(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Package]:
    """Runs the pool with the package, and without it afterwards."""
    package = Package(tmp_path_factory.mktemp("package"))
    package.write("1.0", package.code)
    try:
        _apply(world, package.overlay)
        _wait_for_pool(world)
        yield package
    finally:
        _apply(world, ROOT / "manifests" / "overlays" / "small")
        _wait_for_pool(world)


@pytest.fixture
def meadow(world: World, package: Package) -> Iterator[str]:
    """Returns an area with that simulator, whose passive could take over."""
    world.apply({**plane("growing"), "spec": {**plane("growing")["spec"], "simulator": "growth:Growth"}})
    world.apply(area(_AREA, "growing", 50))
    try:
        world.redundant(_AREA)
        yield _AREA
    finally:
        world.kubectl("delete", "pod", client_of(_AREA), "--ignore-not-found", "--grace-period=0", "--force")
        world.kubectl("delete", "area", _AREA, "--timeout=60s", seconds=90)
        world.kubectl("delete", "plane", "growing")


def test_a_simulator_from_a_wheel_simulates(world: World, meadow: str) -> None:
    status = world.get(world.role(meadow, "passive"), "/v1/status")
    assert status["entities"] == 50
    world.swapped(meadow, world.kill(world.role(meadow, "active")))
    world.redundant(meadow)
    assert world.get(world.role(meadow, "active"), "/v1/status")["tick"] > status["tick"]


def test_an_update_of_a_simulator_computes_after_an_order_and_loses_nothing(
    world: World, meadow: str, package: Package, report: Report
) -> None:
    stream = Stream(world, meadow)
    began = time.monotonic()
    package.write("1.1", package.code.replace('+= table.column("rate")', '+= 2 * table.column("rate")'))
    _apply(world, package.overlay)
    world.areas.wait("it says what to do", lambda areas: f"restart {meadow} puts" in _gap(areas.get(meadow)), 120)
    updated = world.role(meadow, "passive")
    assert world.get(updated, "/v1/status")["simulator"]["phase"] == "other-code"
    assert world.get(world.role(meadow, "active"), "/v1/status")["simulator"] is None, "the area goes on"
    order = ("pairsim", "engines", "restart", meadow, "--url", f"http://{meadow}.{NAMESPACE}.svc")
    said = world.kubectl("exec", updated.name, "-c", "simulator", "--", *order)
    after = rf"{meadow} computes tick \d+ and those after it with new engines and the code of {updated.name}\n"
    assert re.fullmatch(after, said), said
    _wait_for_pool(world)
    world.redundant(meadow)
    report.add("update of a simulator in a pool of five", time.monotonic() - began, "s")
    told = stream.stop()
    told.check()
    report.add("longest wait for an acknowledgement over an update of a simulator", told.longest, "s")
    for role in ("active", "passive"):
        status = world.get(world.role(meadow, role), "/v1/status")
        assert (status["revision"], status["simulator"], status["divergences"]) == (2, None, 0)


def _gap(found: Object | None) -> str:
    """Returns why an area is not redundant."""
    conditions = (found or {}).get("status", {}).get("conditions", [])
    return next((c["message"] for c in conditions if c["type"] == "Redundant" and c["status"] == "False"), "")


def _apply(world: World, overlay: Path) -> None:
    world.cluster.kubectl("apply", "-k", str(overlay))


def _wait_for_pool(world: World) -> None:
    world.kubectl("rollout", "status", "deployment/pairsim-simulator", "--timeout=240s", seconds=270)


def _wheel(path: Path, version: str, code: str) -> None:
    info = f"growth-{version}.dist-info"
    content = {
        "growth.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: growth\nVersion: {version}\n",
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
