from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from pairsim.model.geometry import Box
from pairsim_controller.local.data_folder import DataFolder, FolderError
from tests.unit.controller.builders import assignment, spec

FIRST = assignment("sim-1", "sim-2", "witness-1")


def test_secret_and_token_are_made_once_and_private(tmp_path: Path) -> None:
    token = DataFolder(tmp_path / "a").token
    assert len(token) == 64
    assert {(tmp_path / "a" / name).stat().st_mode & 0o777 for name in ("secret", "token")} == {0o600}
    folder = DataFolder(tmp_path / "b")
    assert folder.token != token


def test_one_process_at_a_time_may_use_a_folder(tmp_path: Path) -> None:
    _held = DataFolder(tmp_path)
    with pytest.raises(FolderError, match="in use by another `pairsim up`"):
        DataFolder(tmp_path)


def test_a_file_in_place_of_a_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FolderError, match=r"cannot use the data folder .*file: File exists"):
        DataFolder(tmp_path / "file")


def test_assignments_are_kept(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    assert folder.assignments() == {}
    folder.write_assignments({"west": FIRST})
    assert folder.assignments() == {"west": FIRST}


@pytest.mark.parametrize("name", ["secret", "token"])
@pytest.mark.parametrize("left", [b"", b"0123456789abcde", b"\xff" * 64])
def test_a_damaged_secret_is_reported_with_its_name(tmp_path: Path, name: str, left: bytes) -> None:
    folder = tmp_path / "damaged"
    folder.mkdir()
    (folder / name).write_bytes(left)
    with pytest.raises(FolderError, match=f"{name} needs a word of 16 characters or more: restore it"):
        DataFolder(folder)


def test_damaged_assignments_are_reported(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    (tmp_path / "areas.json").write_bytes(b'{"west": ')
    with pytest.raises(FolderError, match=r"areas\.json cannot be read"):
        folder.assignments()


def test_an_area_missing_from_the_file_needs_release(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.write_assignments({"west": FIRST})
    folder.check((spec("west"), spec("east")), release=False)
    with pytest.raises(FolderError, match=r"area west lives in .* give --release"):
        folder.check((spec("east"),), release=False)
    folder.check((spec("east"),), release=True)


@pytest.mark.parametrize(
    ("field", "value", "label"),
    [
        ("seed", 8, "seed"),
        ("simulator", "other", "simulator"),
        ("tick_rate", 30.0, "tickRate"),
        ("world", Box((0, 0, 0), (20, 20, 20)), "the plane's bounds"),
    ],
)
def test_the_definition_of_an_area_cannot_change(tmp_path: Path, field: str, value: object, label: str) -> None:
    folder = DataFolder(tmp_path)
    folder.write_assignments({"west": FIRST})
    with pytest.raises(FolderError, match=f"was made with other values of: {label}. These cannot"):
        folder.check((msgspec.structs.replace(spec("west"), **{field: value}),), release=True)
