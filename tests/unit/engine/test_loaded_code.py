"""The fingerprint of a simulator covers all code of its author, and the versions of what that code imports."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pairsim.engine.child.loaded_code import LoadedCode

CLASS = "import bed_kernel\n\nclass Growth:\n    kernel = bed_kernel.factor\n"
MODULES = {"bed_growth", "bed_kernel", "bed_late", "bedlib", "bed_installed"}


@pytest.fixture(autouse=True)
def _forgotten_modules() -> Iterator[None]:
    """Forgets the modules of the test."""
    yield
    forget()


def forget() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in MODULES]:
        del sys.modules[name]
    importlib.invalidate_caches()


def code_in(folder: Path, monkeypatch: pytest.MonkeyPatch, late: str = "", **sources: str) -> str:
    """Writes modules to a folder, and returns the fingerprint of `bed_growth.Growth` there; `late` is loaded late."""
    forget()
    with monkeypatch.context() as patch:
        if sources:
            folder.mkdir(exist_ok=True)
        for name, source in sources.items():
            (folder / f"{name}.py").write_text(source)
        patch.syspath_prepend(str(folder))
        patch.setattr(sys, "dont_write_bytecode", True)
        loaded = LoadedCode(importlib.import_module("bed_growth").Growth)
        if late:
            importlib.import_module(late)
        return loaded.fingerprint()


def distribution(folder: Path, name: str, version: str, **files: str) -> Path:
    """Installs a distribution with an empty module `bedlib` into a folder."""
    metadata = folder / f"{name}-{version}.dist-info"
    metadata.mkdir(parents=True)
    for file, content in files.items():
        (metadata / file.replace("_txt", ".txt")).write_text(content)
    (folder / "bedlib.py").write_text("")
    return folder


def test_the_same_code_in_another_folder_has_the_same_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = {"bed_growth": CLASS, "bed_kernel": "factor = 1"}
    first = code_in(tmp_path / "first", monkeypatch, **sources)
    assert len(first) == 32
    assert first == code_in(tmp_path / "second", monkeypatch, **sources)


def test_a_module_that_the_simulator_imports_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = {"bed_growth": CLASS, "bed_kernel": "factor = 1"}
    first = code_in(tmp_path / "first", monkeypatch, **sources)
    assert first != code_in(tmp_path / "second", monkeypatch, **sources | {"bed_kernel": "factor = 2"})
    assert first != code_in(tmp_path / "third", monkeypatch, **sources | {"bed_growth": f"{CLASS}\n"})


def test_a_module_counts_that_is_loaded_in_the_trial_ticks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = {"bed_growth": CLASS, "bed_kernel": "factor = 1", "bed_late": "limit = 1"}
    first = code_in(tmp_path / "first", monkeypatch, "bed_late", **sources)
    assert first == code_in(tmp_path / "second", monkeypatch, "bed_late", **sources)
    assert first != code_in(tmp_path / "third", monkeypatch, "bed_late", **sources | {"bed_late": "limit = 2"})
    assert first != code_in(tmp_path / "fourth", monkeypatch, **sources)


def test_what_else_the_process_has_loaded_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = {"bed_growth": CLASS, "bed_kernel": "factor = 1"}
    first = code_in(tmp_path / "first", monkeypatch, **sources)
    folder = distribution(tmp_path / "installed", "bedlib", "1.0")
    monkeypatch.syspath_prepend(str(folder))
    assert first == code_in(tmp_path / "second", monkeypatch, "bedlib", **sources)


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("bedlib", {}),
        ("Garden_beds", {"top_level_txt": "bedlib\n"}),
        ("garden.beds", {"RECORD": "bedlib.py,sha256=,0\n"}),
    ],
)
def test_the_version_of_a_distribution_counts_that_the_author_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, files: dict[str, str]
) -> None:
    sources = {"bed_growth": f"import sys, bedlib as lib\n{CLASS}", "bed_kernel": "factor = 1"}
    found = []
    for number, version in enumerate(("1.0", "1.1", "1.0")):
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(distribution(tmp_path / f"installed-{number}", name, version, **files)))
            found.append(code_in(tmp_path / f"author-{number}", monkeypatch, **sources))
    assert found[0] == found[2]
    assert found[0] != found[1]


def test_an_installed_simulator_counts_with_its_version_and_its_contents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for number, (version, source) in enumerate([("1", "factor = 1"), ("2", "factor = 1"), ("1", "factor = 2")]):
        folder = distribution(tmp_path / str(number), "bed_growth", version)
        package = folder / "bed_growth"
        package.mkdir()
        (package / "__init__.py").write_text("from bed_growth.kernel import factor\n\nclass Growth: ...\n")
        (package / "kernel.py").write_text(source)
        found.append(code_in(folder, monkeypatch))
    assert len(set(found)) == 3
