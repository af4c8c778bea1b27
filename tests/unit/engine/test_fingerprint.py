"""Nodes know by its fingerprint whether two engines run the same code."""

from __future__ import annotations

from pathlib import Path

from pairsim.engine.fingerprint import files_fingerprint


def written(folder: Path, **contents: str) -> list[Path]:
    folder.mkdir()
    for name, content in contents.items():
        (folder / f"{name}.py").write_text(content)
    return [folder / f"{name}.py" for name in contents]


def test_the_same_code_in_another_folder_has_the_same_fingerprint(tmp_path: Path) -> None:
    first = files_fingerprint(written(tmp_path / "first", b="x", a="y"))
    assert len(first) == 32
    assert first == files_fingerprint(map(str, written(tmp_path / "second", a="y", b="x")))


def test_other_contents_and_other_names_have_other_fingerprints(tmp_path: Path) -> None:
    folders = [{"a": "x", "b": "y"}, {"a": "y", "b": "x"}, {"a": "xy", "b": ""}, {"a": "x"}, {"ab": "x"}]
    found = {files_fingerprint(written(tmp_path / str(n), **files)) for n, files in enumerate(folders)}
    assert len(found) == len(folders)


def test_code_without_files_is_unknown_and_a_missing_file_is_not(tmp_path: Path) -> None:
    assert files_fingerprint([]) == ""
    assert files_fingerprint([tmp_path / "gone.py"])
