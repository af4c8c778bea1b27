"""What a leader sends over links of any speed."""

from __future__ import annotations

import msgspec
import pytest

from pairsim.replication.raft import replicator as module
from pairsim.replication.raft import snapshots
from pairsim.replication.raft.journal import Journal
from pairsim.replication.raft.messages import AppendEntries, Entry, decode_message
from pairsim.replication.raft.ports import TransportHandler
from pairsim.replication.raft.replicator import LogReplicator
from pairsim.replication.raft.snapshots import Snapshots
from pairsim.replication.raft.storage import MemoryStorage

CHUNK, BURST = 1_000, 4_000
PREVIOUS, LAST = (b"", 9, 3), (b"", 10, 3)


class SlowTransport:
    """A transport whose backlog shrinks only when the test says so."""

    def __init__(self) -> None:
        self.sent: list[AppendEntries] = []
        self.unsent = 0
        self.linked = True

    def start(self, handler: TransportHandler) -> None: ...

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
    """A leader that has compacted its log, and a peer whose log is empty."""

    def __init__(self, size: int) -> None:
        self.data = bytes(range(256)) * (size // 256 + 1)
        self.journal = Journal(MemoryStorage(), "boot", "me")
        self.journal.save_snapshot(self.data, PREVIOUS, LAST, keep_tail=False)
        self.transport = SlowTransport()
        self.replicator = LogReplicator(
            self.journal, Snapshots(self.journal, lambda: bytes, lambda *_: None), self.transport
        )
        self.next_index = 1

    def send(self, term: int = 3) -> list[AppendEntries]:
        """Returns what the leader sends at this heartbeat."""
        self.transport.sent.clear()
        self.next_index = self.replicator.replicate("b", self.next_index, term=term, commit_index=10)
        return list(self.transport.sent)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "CHUNK_BYTES", CHUNK)
    monkeypatch.setattr(module, "BURST_BYTES", BURST)
    monkeypatch.setattr(module, "MESSAGE_BYTES", CHUNK)


def data(sent: list[AppendEntries]) -> bytes:
    return b"".join(m.serialized.data for m in sent if m.serialized is not msgspec.UNSET)


def entries(sent: list[AppendEntries]) -> list[Entry]:
    return [entry for m in sent if m.entries is not msgspec.UNSET for entry in m.entries]


def test_a_large_snapshot_passes_a_slow_link_without_piling_up() -> None:
    leader = Leader(size=50 * BURST)
    arrived, heartbeats = b"", 0
    while leader.next_index <= 10:
        arrived += data(leader.send())
        heartbeats += 1
        assert leader.transport.unsent < 2 * BURST
        leader.transport.unsent = max(0, leader.transport.unsent - BURST // 2)
    assert arrived == leader.data
    assert heartbeats > 50


def test_a_blocked_link_gets_no_more_messages() -> None:
    leader = Leader(size=10 * BURST)
    assert leader.send()
    assert leader.send() == []


def test_a_long_log_is_sent_in_bursts_and_each_entry_once() -> None:
    leader = Leader(size=0)
    leader.next_index = 11
    log = [(b"x" * 600, index, 3) for index in range(11, 61)]
    for entry in log:
        leader.journal.add(*entry)
    arrived: list[Entry] = []
    while leader.next_index <= 60:
        sent = leader.send()
        assert 0 < len(entries(sent)) < 10
        assert sent[0].prevLogIdx == 10 + len(arrived)
        arrived += entries(sent)
        leader.transport.unsent = 0
    assert arrived == log


def test_an_entry_larger_than_a_message_is_sent_alone() -> None:
    leader = Leader(size=0)
    leader.next_index = 11
    for index in (11, 12, 13):
        leader.journal.add(b"x" * (CHUNK + 1), index, 3)
    assert [entries([m])[0][1] for m in leader.send()] == [11, 12, 13]


def test_a_peer_with_the_whole_log_gets_a_heartbeat() -> None:
    leader = Leader(size=0)
    for next_index in (11, 12, 99):  # a peer's log may be longer than the leader's
        leader.next_index = next_index
        (heartbeat,) = leader.send()
        assert (heartbeat.prevLogIdx, heartbeat.prevLogTerm, heartbeat.entries) == (10, 3, [])
    assert leader.next_index == 11


def test_entries_follow_the_snapshot() -> None:
    leader = Leader(size=0)
    leader.journal.add(b"next", 11, 4)
    chunk, rest = leader.send()
    assert chunk.serialized is not msgspec.UNSET
    assert chunk.serialized.end == (PREVIOUS, LAST)
    assert (rest.prevLogIdx, rest.prevLogTerm, rest.entries) == (10, 3, [(b"next", 11, 4)])


def test_a_transfer_restarts_after_its_link_broke() -> None:
    leader = Leader(size=10 * BURST)
    leader.send()
    leader.transport.unsent, leader.transport.linked = 0, False
    assert leader.send() == []
    leader.transport.linked = True
    assert data(leader.send()) == leader.data[: 4 * CHUNK]
