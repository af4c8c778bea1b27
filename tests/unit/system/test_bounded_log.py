from __future__ import annotations

from pathlib import Path

import pytest

from pairsim.system import bounded_log
from pairsim.system.bounded_log import BoundedLog


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BoundedLog:
    monkeypatch.setattr(bounded_log, "MAX_BYTES", 20)
    return BoundedLog(tmp_path / "log")


def test_a_writer_goes_on_at_the_beginning_of_a_log_that_was_cut(log: BoundedLog) -> None:
    with log.open() as writer:
        writer.write(b"first line\nsecond line\n")
        writer.flush()
        assert log.is_long()
        log.cut()
        writer.write(b"third line\n")
    assert log.path.read_bytes() == b"third line\n"
    assert log.older.read_bytes().endswith(b"second line\n")
    assert not log.is_long()


def test_both_files_are_bounded(log: BoundedLog) -> None:
    with log.open() as writer:
        for number in range(1000):
            writer.write(b"line %d\n" % number)
            writer.flush()
            if log.is_long():
                log.cut()
            assert log.path.stat().st_size <= 20
    assert log.older.stat().st_size <= 20 + len("line 999\n")
    assert b"line 999\n" in log.older.read_bytes() + log.path.read_bytes()


def test_the_end_of_a_log_is_found_when_it_has_just_been_cut(log: BoundedLog) -> None:
    assert log.tail(5) == b""
    log.path.write_bytes(b"a sentence of thirty characters")
    assert log.tail(5) == b"cters"
    log.cut()
    assert log.tail(5) == b"cters"


def test_a_log_is_cut_though_the_disk_is_full(log: BoundedLog) -> None:
    log.path.write_bytes(b"x" * 100)
    log.older.symlink_to("/dev/full")
    log.cut()
    assert log.path.stat().st_size == 0
    assert not log.older.exists()


def test_a_log_that_does_not_exist_is_not_long(log: BoundedLog) -> None:
    assert not log.is_long()
