"""The wheel: what it brings into an environment."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.unit.manifests.rendered import ROOT

wheel_builder = pytest.importorskip("hatchling.builders.wheel", reason="pip install -e '.[dev]' brings hatchling")
PACKAGES = {"pairsim", "pairsim_controller", "pairsim_chaos"}


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Returns the names of the files in the wheel."""
    builder = wheel_builder.WheelBuilder(str(ROOT))
    (wheel,) = builder.build(directory=str(tmp_path_factory.mktemp("wheel")), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_brings_three_packages_and_nothing_else(names: set[str]) -> None:
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == PACKAGES


def test_the_wheel_marks_its_packages_as_typed(names: set[str]) -> None:
    assert {f"{package}/py.typed" for package in PACKAGES} <= names


def test_the_wheel_has_all_modules_and_data_files_of_the_packages(names: set[str]) -> None:
    for folder in ("pairsim", "controller/pairsim_controller", "chaos/pairsim_chaos"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix not in {".pyc", ".nbi", ".nbc"}:
                assert str(Path(path.relative_to((ROOT / folder).parent))) in names
