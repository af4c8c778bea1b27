from __future__ import annotations

import errno
from pathlib import Path

import pytest

from pairsim.replication.checkpoint.format import Checkpointer, CheckpointError
from tests.unit.replication.tables import SCHEMA, same, table

REJECTED = {3: "entity 7 does not exist"}


def save(folder: Path, tick: int, area: str = "west") -> None:
    state = table(100, seed=tick)
    store = Checkpointer(folder, area, SCHEMA)
    store.write(store.draft(state, tick, 3, state.digest(), REJECTED))


def test_the_newest_comes_back_bit_for_bit_and_two_are_kept(tmp_path: Path) -> None:
    for tick in (10, 9_999, 20_000):
        save(tmp_path, tick)
    loaded = Checkpointer(tmp_path, "west", SCHEMA).load_newest()
    assert loaded is not None
    assert (loaded.tick, loaded.term) == (20_000, 3)
    assert same(loaded.table, table(100, seed=20_000))
    assert loaded.rejected == REJECTED
    assert len(list(tmp_path.glob("*.bin"))) == 2


def test_a_draft_is_a_copy(tmp_path: Path) -> None:
    state = table(10)
    store = Checkpointer(tmp_path, "west", SCHEMA)
    draft = store.draft(state, 1, 1, state.digest(), REJECTED)
    state.column("value")[:] = 0
    store.write(draft)
    loaded = store.load_newest()
    assert loaded is not None
    assert same(loaded.table, table(10))


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_a_damaged_one_is_passed_over_for_the_one_before(tmp_path: Path, damage: str) -> None:
    save(tmp_path, 1)
    save(tmp_path, 2)
    newest = max(tmp_path.glob("*.bin"))
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes({"flip": bytes(data), "cut": bytes(data[:-9]), "empty": b""}[damage])
    loaded = Checkpointer(tmp_path, "west", SCHEMA).load_newest()
    assert loaded is not None
    assert loaded.tick == 1


def test_another_areas_state_is_not_taken(tmp_path: Path) -> None:
    save(tmp_path, 1, area="east")
    assert Checkpointer(tmp_path, "west", SCHEMA).load_newest() is None


def test_what_a_killed_run_left_half_written_is_removed(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-000000000007.tmp").write_bytes(b"half")
    assert Checkpointer(tmp_path, "west", SCHEMA).load_newest() is None
    assert not list(tmp_path.glob("*.tmp"))


def test_a_full_disk_leaves_the_older_one_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, 1)

    def full(_self: Path, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(CheckpointError, match="No space left"):
        save(tmp_path, 2)
    monkeypatch.undo()
    loaded = Checkpointer(tmp_path, "west", SCHEMA).load_newest()
    assert loaded is not None
    assert loaded.tick == 1
