"""What a leader sends to another member: the entries that it lacks, or the snapshot that they were compacted to.

Takes the place of pysyncobj's own loop, which sends all there is as fast as it can: what a slower link did not take
piled up until the link was given up, and with it all that was under way. Here a link gets no more than `BURST_BYTES`
at a time, and nothing as long as so much waits for it; it needs no heartbeat then, either, since each piece is one.
"""

from __future__ import annotations

from pairsim.replication.raft.journal import Journal
from pairsim.replication.raft.log_matching import term_at
from pairsim.replication.raft.messages import AppendEntries, Entry, encode_message
from pairsim.replication.raft.ports import Wire
from pairsim.replication.raft.snapshots import Snapshots

BURST_BYTES = 4 * 2**20
"""A heartbeat is the longest pause between two bursts: this keeps a link of 1 Gbit/s busy."""

MESSAGE_BYTES = 256 * 1024
"""A member hears of its leader when a message is complete, so a large one must not take long."""

_MESSAGE_ENTRIES = 1_000


class Feeder:
    """One leader's; sends over a wire."""

    def __init__(self, journal: Journal, snapshots: Snapshots, wire: Wire) -> None:
        self._journal, self._snapshots, self._wire = journal, snapshots, wire

    def feed(self, peer: str, following: int, *, term: int, commit_index: int) -> int:
        """Sends what the peer's log lacks from index `following` on, at least a heartbeat; returns where to go on."""
        room = BURST_BYTES - self._wire.backlog(peer)
        more = True
        while more and room > 0:
            message = AppendEntries(term=term, commit_index=commit_index)
            first, last = self._journal[0][1], self._journal[-1][1]
            chunk = self._snapshots.next_chunk(peer, term) if following <= first else None
            if chunk is not None:
                message.serialized = chunk
                beyond = chunk.index + 1 if chunk.end else following
            else:
                following = min(max(following, first + 1), last + 1)
                message.entries = self._entries(following - first)
                message.prevLogIdx, message.prevLogTerm = following - 1, term_at(self._journal, following - 1)
                beyond = following + len(message.entries)
            data = encode_message(message)
            if not self._wire.send(peer, data):
                self._snapshots.cancel(peer)
                break
            room -= len(data)
            following, more = beyond, beyond <= last
        return following

    def _entries(self, place: int) -> list[Entry]:
        """From that place on as many as a message takes, and at least one if there is one."""
        entries: list[Entry] = []
        size = 0
        for entry in self._journal[place : place + _MESSAGE_ENTRIES]:
            size += len(entry[0])
            if entries and size > MESSAGE_BYTES:
                break
            entries.append(entry)
        return entries
