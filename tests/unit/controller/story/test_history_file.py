"""The history on disk: it goes on after a restart, stays small, and survives damage."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from pairsim_controller.story import history_file
from pairsim_controller.story.entry import plain_entry
from pairsim_controller.story.history import MAX_ENTRIES, History
from pairsim_controller.story.history_file import HistoryFile


def write(path: Path, count: int, words: str = "it happened") -> History:
    """Continues the history at `path` by some entries."""
    file = HistoryFile(path)
    history = History(file.read(), clock=lambda: 7.0)
    history.readers.append(file.write)
    for _ in range(count):
        history.note("problem", "west", words)
    return history


def numbers(path: Path) -> list[int]:
    return [entry.number for entry in HistoryFile(path).read()]


def test_a_path_that_is_not_utf_8_can_be_read_in_the_history(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    write(path, 1, f"state in {os.fsdecode(bytes([100, 255]))}")
    assert [entry.sentence for entry in HistoryFile(path).read()] == [r"state in d\udcff"]


def test_the_history_goes_on_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    assert numbers(path) == []
    before = write(path, 3)
    assert HistoryFile(path).read() == list(before.entries)
    write(path, 2)
    assert numbers(path) == [1, 2, 3, 4, 5]


def test_the_file_stays_small_and_the_newest_entries_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_file, "MAX_FILE_BYTES", 40_000)
    path = tmp_path / "history.jsonl"
    write(path, 1000)
    assert {file.name for file in tmp_path.iterdir()} <= {"history.jsonl", "history.1.jsonl"}
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 81_000
    assert numbers(path) == list(range(1001 - MAX_ENTRIES, 1001))


@given(damage=st.binary(max_size=30), at=st.integers(0, 600))
def test_a_damaged_line_is_skipped_and_the_next_entries_are_kept(
    tmp_path_factory: pytest.TempPathFactory, damage: bytes, at: int
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "history.jsonl"
    write(path, 3)
    content = path.read_bytes()
    path.write_bytes(content[:at] + damage + content[at + len(damage) :])
    found = numbers(path)
    assert found == sorted(set(found))
    write(path, 2)
    assert numbers(path)[-2:] == [max(found, default=0) + 1, max(found, default=0) + 2]


def test_a_line_that_was_cut_off_does_not_spoil_the_next(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    write(path, 2)
    path.write_bytes(path.read_bytes()[:-9])
    write(path, 1)
    assert numbers(path) == [1, 2]


def test_a_full_disk_costs_entries_and_one_line_of_the_log(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.mkdir()
    with structlog.testing.capture_logs() as logs:
        history = write(path, 3)
    assert len(history.entries) == 3
    assert [line["event"] for line in logs] == ["the history is not kept"]


def test_an_entry_has_its_area_in_its_line() -> None:
    assert plain_entry("problem", "west", "no spare", 1.0).line == "west: no spare"
    assert plain_entry("world", "", "stopped", 1.0).line == "stopped"
