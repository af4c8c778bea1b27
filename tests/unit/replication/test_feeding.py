from __future__ import annotations

import msgspec
import pytest

from pairsim.replication.raft import replicator, snapshots
from pairsim.replication.raft.journal import Journal, MemoryStorage
from pairsim.replication.raft.messages import AppendEntries, Entry, decode_message
from pairsim.replication.raft.ports import WireHandler
from pairsim.replication.raft.replicator import Feeder
from pairsim.replication.raft.snapshots import Snapshots

CHUNK, BURST = 1_000, 4_000
PREVIOUS, LAST = (b"", 9, 3), (b"", 10, 3)


class SlowWire:
    """Takes what is sent, and carries as much as it is told to."""

    def __init__(self) -> None:
        self.sent: list[AppendEntries] = []
        self.unsent = 0
        self.linked = True

    def start(self, handler: WireHandler) -> None: ...

    def send(self, peer: str, message: bytes) -> bool:
        if self.linked:
            decoded = decode_message(message)
            assert isinstance(decoded, AppendEntries)
            self.sent.append(decoded)
            self.unsent += len(message)
        return self.linked

    def backlog(self, peer: str) -> int:
        return self.unsent

    def poll(self, timeout: float) -> None: ...

    def wake(self) -> None: ...

    def close(self) -> None: ...


class Leader:
    """One that has compacted its log, and a peer that begins with an empty one."""

    def __init__(self, size: int) -> None:
        self.data = bytes(range(256)) * (size // 256 + 1)
        self.journal = Journal(MemoryStorage(), "boot", "me")
        self.journal.save_snapshot(self.data, PREVIOUS, LAST, keep_tail=False)
        self.wire = SlowWire()
        self.feeder = Feeder(self.journal, Snapshots(self.journal, lambda: bytes, lambda *_: None), self.wire)
        self.following = 1

    def feed(self, term: int = 3) -> list[AppendEntries]:
        """What goes out at this heartbeat."""
        self.wire.sent.clear()
        self.following = self.feeder.feed("b", self.following, term=term, commit_index=10)
        return list(self.wire.sent)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "CHUNK_BYTES", CHUNK)
    monkeypatch.setattr(replicator, "BURST_BYTES", BURST)
    monkeypatch.setattr(replicator, "MESSAGE_BYTES", CHUNK)


def data(sent: list[AppendEntries]) -> bytes:
    return b"".join(m.serialized.data for m in sent if m.serialized is not msgspec.UNSET)


def entries(sent: list[AppendEntries]) -> list[Entry]:
    return [entry for m in sent if m.entries is not msgspec.UNSET for entry in m.entries]


def test_a_large_snapshot_gets_over_a_slow_link_and_never_piles_up() -> None:
    leader = Leader(size=50 * BURST)
    arrived, heartbeats = b"", 0
    while leader.following <= 10:
        arrived += data(leader.feed())
        heartbeats += 1
        assert leader.wire.unsent < 2 * BURST
        leader.wire.unsent = max(0, leader.wire.unsent - BURST // 2)
    assert arrived == leader.data
    assert heartbeats > 50


def test_a_link_that_takes_nothing_is_sent_nothing_more() -> None:
    leader = Leader(size=10 * BURST)
    assert leader.feed()
    assert leader.feed() == []


def test_a_long_log_goes_out_in_bursts_too_each_entry_once() -> None:
    leader = Leader(size=0)
    leader.following = 11
    log = [(b"x" * 600, index, 3) for index in range(11, 61)]
    for entry in log:
        leader.journal.add(*entry)
    arrived: list[Entry] = []
    while leader.following <= 60:
        sent = leader.feed()
        assert 0 < len(entries(sent)) < 10
        assert sent[0].prevLogIdx == 10 + len(arrived)
        arrived += entries(sent)
        leader.wire.unsent = 0
    assert arrived == log


def test_an_entry_that_is_larger_than_a_message_goes_alone() -> None:
    leader = Leader(size=0)
    leader.following = 11
    for index in (11, 12, 13):
        leader.journal.add(b"x" * CHUNK, index, 3)
    assert [entries([m])[0][1] for m in leader.feed()] == [11, 12, 13]


def test_whoever_lacks_nothing_gets_a_heartbeat() -> None:
    leader = Leader(size=0)
    for following in (11, 12, 99):  # a log may be longer than the leader's
        leader.following = following
        (heartbeat,) = leader.feed()
        assert (heartbeat.prevLogIdx, heartbeat.prevLogTerm, heartbeat.entries) == (10, 3, [])
    assert leader.following == 11


def test_entries_follow_the_snapshot() -> None:
    leader = Leader(size=0)
    leader.journal.add(b"next", 11, 4)
    chunk, rest = leader.feed()
    assert chunk.serialized is not msgspec.UNSET
    assert chunk.serialized.end == (PREVIOUS, LAST)
    assert (rest.prevLogIdx, rest.prevLogTerm, rest.entries) == (10, 3, [(b"next", 11, 4)])


def test_a_link_that_breaks_loses_its_transfer() -> None:
    leader = Leader(size=10 * BURST)
    leader.feed()
    leader.wire.unsent, leader.wire.linked = 0, False
    assert leader.feed() == []
    leader.wire.linked = True
    assert data(leader.feed()) == leader.data[: 4 * CHUNK]
