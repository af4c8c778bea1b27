"""The transfer of snapshots in chunks, and when a log is compacted."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
import structlog.testing

from pairsim.replication.raft import snapshots
from pairsim.replication.raft.journal import Journal
from pairsim.replication.raft.messages import Chunk, Entry
from pairsim.replication.raft.snapshots import Snapshots
from pairsim.replication.raft.storage import FileStorage, MemoryStorage

CHUNK = 100
DEADLINE_SECONDS = 10.0
"""How long a test waits for an event that must happen."""


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "CHUNK_BYTES", CHUNK)


class Member:
    """A member whose journal has a snapshot up to an index, and which records what it installs."""

    def __init__(self, index: int = 10, size: int = 10 * CHUNK) -> None:
        self.data = b"%d" % index * size
        self.installed: list[tuple[bytes, Entry, Entry]] = []
        self.journal = Journal(MemoryStorage(), "boot", "me")
        self.journal.save_snapshot(self.data, (b"", index - 1, 1), (b"", index, 1), keep_tail=False)
        self.snapshots = Snapshots(self.journal, lambda: bytes, lambda *all_: self.installed.append(all_))

    def chunks(self, count: int, term: int = 1) -> list[Chunk]:
        """Returns the next chunks for a peer."""
        made = [self.snapshots.next_chunk("b", term) for _ in range(count)]
        return [chunk for chunk in made if chunk is not None]

    def transfer(self, term: int = 1) -> list[Chunk]:
        """Returns all chunks of a transfer."""
        made = self.chunks(1, term)
        while made[-1].end is None:
            made += self.chunks(1, term)
        return made

    def take(self, chunks: list[Chunk]) -> None:
        for chunk in chunks:
            assert self.snapshots.setTransmissionData(chunk) is False


@pytest.mark.parametrize("size", [0, 1, CHUNK, 2 * CHUNK, 5 * CHUNK + 1])
def test_a_snapshot_arrives_unchanged(size: int) -> None:
    leader, follower = Member(size=size), Member()
    follower.take(leader.transfer())
    assert follower.installed == [(leader.data, (b"", 9, 1), (b"", 10, 1))]


def test_a_snapshot_with_a_lost_chunk_is_not_installed() -> None:
    leader, follower = Member(), Member()
    first, second, _lost, *rest = leader.transfer()
    follower.take([first, second, *rest])
    assert follower.installed == []
    follower.take(leader.transfer())
    assert len(follower.installed) == 1


def test_the_progress_of_a_transfer_is_shown() -> None:
    leader, follower = Member(), Member()
    found = []
    for chunk in leader.transfer():
        found.append(follower.snapshots.received_bytes)
        follower.take([chunk])
    assert found == [CHUNK * number for number in range(len(found))]
    assert follower.snapshots.received_bytes == 0


def test_a_new_leadership_restarts_the_transfer() -> None:
    leader = Member()
    leader.chunks(3, term=1)
    assert leader.chunks(1, term=3)[0].offset == 0


def test_a_transfer_restarts_after_a_compaction_and_over_a_new_link() -> None:
    leader = Member()
    leader.chunks(3)
    leader.journal.save_snapshot(b"later", (b"", 19, 1), (b"", 20, 1), keep_tail=True)
    assert [(c.index, c.offset) for c in leader.transfer()] == [(20, 0)]
    leader = Member()
    leader.chunks(3)
    leader.snapshots.cancel("b")
    assert leader.chunks(1)[0].offset == 0


def test_chunks_of_two_leaders_are_never_joined() -> None:
    one, other, follower = Member(), Member(size=20 * CHUNK), Member()
    follower.take(one.chunks(3, term=1))
    follower.take(other.transfer(term=2)[3:])
    assert follower.installed == []


def test_chunks_of_two_snapshots_are_never_joined() -> None:
    one, other, follower = Member(10), Member(20), Member()
    follower.take(one.chunks(3))
    follower.take(other.transfer()[3:])
    assert follower.installed == []


def test_a_snapshot_that_is_too_large_is_dropped_and_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "MAX_SNAPSHOT_BYTES", 5 * CHUNK)
    leader, follower = Member(), Member()
    with structlog.testing.capture_logs() as logs:
        follower.take(leader.transfer())
    assert follower.installed == []
    assert [entry["log_level"] for entry in logs] == ["error"]


def test_a_log_is_compacted_later_while_its_snapshot_is_being_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "COMPACT_ENTRIES", 4)
    monkeypatch.setattr(snapshots, "COMPACT_BYTES", 4_000)
    leader = Member()
    for index in range(11, 14):
        leader.journal.add(b"", index, 1)
    assert leader.snapshots.compaction_due(1)
    leader.chunks(1)
    assert not leader.snapshots.compaction_due(1)
    assert leader.snapshots.compaction_due(2)  # the transfer belongs to an earlier leadership
    while leader.journal.bytes <= 4 * 4_000:
        leader.journal.add(bytes(CHUNK), leader.journal[-1][1] + 1, 1)
    assert leader.snapshots.compaction_due(1)  # but not without bound


def test_a_compaction_starts_only_after_the_previous_one_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(snapshots, "COMPACT_ENTRIES", 4)
    journal = Journal(FileStorage(tmp_path / "generation-1.journal"), "boot", "me")
    for index in range(1, 11):
        journal.add(b"", index, 1)
    goes_on = threading.Event()

    def pack() -> bytes:
        assert goes_on.wait(DEADLINE_SECONDS)
        return b"state"

    member = Snapshots(journal, lambda: pack, lambda *_: None)
    assert member.compaction_due(1)
    assert member.checkSerializing() == (0, None)
    member.serialize((None, journal[8], journal[7], None), 8)
    assert not member.compaction_due(1)
    assert member.checkSerializing() == (1, None)
    goes_on.set()
    end = time.monotonic() + DEADLINE_SECONDS
    while member.checkSerializing() != (0, None):
        assert time.monotonic() < end
    assert not member.compaction_due(1)
    assert [entry[1] for entry in journal[:]] == [8, 9, 10]
    journal.close()
