from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
import structlog.testing

from pairsim.replication.raft import snapshots
from pairsim.replication.raft.journal import FileStorage, Journal, MemoryStorage
from pairsim.replication.raft.messages import Chunk, Entry
from pairsim.replication.raft.snapshots import Snapshots

CHUNK = 100
PATIENCE = 10.0
"""How long a test waits for what must happen, in seconds."""


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "CHUNK_BYTES", CHUNK)


class Member:
    """A journal with a snapshot up to an index, and whatever is installed."""

    def __init__(self, index: int = 10, size: int = 10 * CHUNK) -> None:
        self.data = b"%d" % index * size
        self.installed: list[tuple[bytes, Entry, Entry]] = []
        self.journal = Journal(MemoryStorage(), "boot", "me")
        self.journal.save_snapshot(self.data, (b"", index - 1, 1), (b"", index, 1), keep_tail=False)
        self.snapshots = Snapshots(self.journal, lambda: bytes, lambda *all_: self.installed.append(all_))

    def chunks(self, count: int, term: int = 1) -> list[Chunk]:
        """The next ones for a peer."""
        made = [self.snapshots.next_chunk("b", term) for _ in range(count)]
        return [chunk for chunk in made if chunk is not None]

    def whole(self, term: int = 1) -> list[Chunk]:
        """A transfer to its end."""
        made = self.chunks(1, term)
        while made[-1].end is None:
            made += self.chunks(1, term)
        return made

    def take(self, chunks: list[Chunk]) -> None:
        for chunk in chunks:
            assert self.snapshots.setTransmissionData(chunk) is False


@pytest.mark.parametrize("size", [0, 1, CHUNK, 2 * CHUNK, 5 * CHUNK + 1])
def test_a_snapshot_arrives_as_it_is(size: int) -> None:
    leader, follower = Member(size=size), Member()
    follower.take(leader.whole())
    assert follower.installed == [(leader.data, (b"", 9, 1), (b"", 10, 1))]


def test_a_snapshot_of_which_a_piece_was_lost_is_not_installed() -> None:
    leader, follower = Member(), Member()
    first, second, _lost, *rest = leader.whole()
    follower.take([first, second, *rest])
    assert follower.installed == []
    follower.take(leader.whole())
    assert len(follower.installed) == 1


def test_a_new_leadership_begins_from_the_start() -> None:
    leader = Member()
    leader.chunks(3, term=1)
    assert leader.chunks(1, term=3)[0].offset == 0


def test_a_transfer_begins_again_after_a_compaction_and_over_a_new_link() -> None:
    leader = Member()
    leader.chunks(3)
    leader.journal.save_snapshot(b"later", (b"", 19, 1), (b"", 20, 1), keep_tail=True)
    assert [(c.index, c.offset) for c in leader.whole()] == [(20, 0)]
    leader = Member()
    leader.chunks(3)
    leader.snapshots.cancel("b")
    assert leader.chunks(1)[0].offset == 0


def test_pieces_of_two_leaders_are_never_joined() -> None:
    one, other, follower = Member(), Member(size=20 * CHUNK), Member()
    follower.take(one.chunks(3, term=1))
    follower.take(other.whole(term=2)[3:])
    assert follower.installed == []


def test_pieces_of_two_snapshots_are_never_joined() -> None:
    one, other, follower = Member(10), Member(20), Member()
    follower.take(one.chunks(3))
    follower.take(other.whole()[3:])
    assert follower.installed == []


def test_a_snapshot_that_is_too_large_is_dropped_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "MAX_SNAPSHOT_BYTES", 5 * CHUNK)
    leader, follower = Member(), Member()
    with structlog.testing.capture_logs() as logs:
        follower.take(leader.whole())
    assert follower.installed == []
    assert [entry["log_level"] for entry in logs] == ["error"]


def test_a_log_is_compacted_later_while_its_snapshot_is_on_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "COMPACT_ENTRIES", 4)
    monkeypatch.setattr(snapshots, "COMPACT_BYTES", 4_000)
    leader = Member()
    for index in range(11, 14):
        leader.journal.add(b"", index, 1)
    assert leader.snapshots.due(1)
    leader.chunks(1)
    assert not leader.snapshots.due(1)
    assert leader.snapshots.due(2)  # that leadership is over
    while leader.journal.bytes <= 4 * 4_000:
        leader.journal.add(bytes(CHUNK), leader.journal[-1][1] + 1, 1)
    assert leader.snapshots.due(1)  # there is an end to patience


def test_one_compaction_begins_after_the_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(snapshots, "COMPACT_ENTRIES", 4)
    journal = Journal(FileStorage(tmp_path / "generation-1.journal"), "boot", "me")
    for index in range(1, 11):
        journal.add(b"", index, 1)
    goes_on = threading.Event()

    def pack() -> bytes:
        assert goes_on.wait(PATIENCE)
        return b"state"

    member = Snapshots(journal, lambda: pack, lambda *_: None)
    assert member.due(1)
    assert member.checkSerializing() == (0, None)
    member.serialize((None, journal[8], journal[7], None), 8)
    assert not member.due(1)
    assert member.checkSerializing() == (1, None)
    goes_on.set()
    end = time.monotonic() + PATIENCE
    while member.checkSerializing() != (0, None):
        assert time.monotonic() < end
    assert not member.due(1)
    assert [entry[1] for entry in journal[:]] == [8, 9, 10]
    journal.close()
