"""Checkpoints are complete, verified at loading, and survive a killed process and a full disk."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from pairsim.replication.checkpoint.folder import CheckpointError, CheckpointFolder
from pairsim.replication.checkpoint.format import decode_checkpoint, encode_checkpoint
from pairsim.replication.sync.state import state_digest
from tests.unit.replication.raft.journals import Crash
from tests.unit.replication.tables import BORDERS, SCHEMA, same, table


def save(path: Path, tick: int, area: str = "west") -> None:
    state = table(100, seed=tick)
    folder = CheckpointFolder(path, area, SCHEMA)
    folder.write(folder.begin(state, BORDERS, tick, 3, state_digest(state, BORDERS)))


def test_the_newest_checkpoint_is_loaded_bit_for_bit_and_two_are_kept(tmp_path: Path) -> None:
    for tick in (10, 9_999, 20_000):
        save(tmp_path, tick)
    loaded = CheckpointFolder(tmp_path, "west", SCHEMA).load_newest()
    assert loaded is not None
    assert (loaded.tick, loaded.term) == (20_000, 3)
    assert same(loaded.table, table(100, seed=20_000))
    assert len(list(tmp_path.glob("*.bin"))) == 2


def test_a_pending_checkpoint_is_a_copy(tmp_path: Path) -> None:
    state = table(10)
    folder = CheckpointFolder(tmp_path, "west", SCHEMA)
    pending = folder.begin(state, BORDERS, 1, 1, state_digest(state, BORDERS))
    state.column("value")[:] = 0
    folder.write(pending)
    loaded = folder.load_newest()
    assert loaded is not None
    assert same(loaded.table, table(10))


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_a_damaged_checkpoint_is_ignored_for_the_older_one(tmp_path: Path, damage: str) -> None:
    save(tmp_path, 1)
    save(tmp_path, 2)
    newest = max(tmp_path.glob("*.bin"))
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes({"flip": bytes(data), "cut": bytes(data[:-9]), "empty": b""}[damage])
    loaded = CheckpointFolder(tmp_path, "west", SCHEMA).load_newest()
    assert loaded is not None
    assert loaded.tick == 1


def test_a_checkpoint_of_another_area_is_ignored(tmp_path: Path) -> None:
    save(tmp_path, 1, area="east")
    assert CheckpointFolder(tmp_path, "west", SCHEMA).load_newest() is None


def test_an_incomplete_file_of_a_killed_process_is_removed(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-000000000007.tmp").write_bytes(b"half")
    assert CheckpointFolder(tmp_path, "west", SCHEMA).load_newest() is None
    assert not list(tmp_path.glob("*.tmp"))


def test_a_full_disk_is_reported_and_the_older_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, 1)

    def full(_self: Path, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(CheckpointError, match="No space left"):
        save(tmp_path, 2)
    monkeypatch.undo()
    loaded = CheckpointFolder(tmp_path, "west", SCHEMA).load_newest()
    assert loaded is not None
    assert loaded.tick == 1


def crash_in_the_write(monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_bytes

    def torn(path: Path, data: bytes) -> int:
        write(path, data[: len(data) // 2])
        raise Crash

    monkeypatch.setattr(Path, "write_bytes", torn)


@pytest.mark.parametrize("tick", [1, 2])
def test_a_process_that_is_killed_in_a_write_leaves_only_whole_checkpoints(
    tick: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, 1)
    crash_in_the_write(monkeypatch)
    with pytest.raises(Crash):
        save(tmp_path, tick)
    monkeypatch.undo()
    folder = CheckpointFolder(tmp_path, "west", SCHEMA)
    loaded = folder.load_newest()
    assert loaded is not None
    assert loaded.tick == 1
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-000000000001.bin"]


def test_a_state_that_does_not_have_its_digest_is_not_loaded(tmp_path: Path) -> None:
    """The memory of the process that wrote the file may have been damaged, and the file is whole."""
    folder = CheckpointFolder(tmp_path, "west", SCHEMA)
    state = table(100)
    folder.write(folder.begin(state, BORDERS, 1, 3, state_digest(state, BORDERS) ^ 1))
    assert folder.load_newest() is None


def test_damage_at_any_byte_is_noticed(tmp_path: Path) -> None:
    state = table(3)
    folder = CheckpointFolder(tmp_path, "west", SCHEMA)
    data = encode_checkpoint(folder.begin(state, BORDERS, 1, 3, state_digest(state, BORDERS)))
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 0x10
        with pytest.raises(ValueError, match="its checksum is wrong"):
            decode_checkpoint(bytes(damaged), "west", SCHEMA)


def test_a_failed_write_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk may be full, and its room is needed."""
    save(tmp_path, 1)
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        write(path, data[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(CheckpointError):
        save(tmp_path, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-000000000001.bin"]
