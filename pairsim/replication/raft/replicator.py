"""What a leader sends to another member: the entries that the member lacks, or the snapshot that replaced them.

This module replaces pysyncobj's own sending loop, which sends everything as fast as it can: what a slower link did
not take piled up until the link was given up, and everything under way was lost with it. Here a link gets at most
`BURST_BYTES` at a time, and nothing as long as so much is still queued for it. Such a link needs no heartbeat either,
since each piece is one.
"""

from __future__ import annotations

from pairsim.replication.raft.journal import Journal
from pairsim.replication.raft.messages import AppendEntries, Entry, encode_message
from pairsim.replication.raft.ports import Transport
from pairsim.replication.raft.snapshots import Snapshots

BURST_BYTES = 4 * 2**20
"""A heartbeat is the longest pause between two bursts: bursts of this size keep a link of 1 Gbit/s busy."""

MESSAGE_BYTES = 256 * 1024
"""A member hears its leader only when a message is complete, so a large message must not take long."""

_MESSAGE_ENTRIES = 1_000


class LogReplicator:
    """Sends the log of one leader over a transport."""

    def __init__(self, journal: Journal, snapshots: Snapshots, transport: Transport) -> None:
        self._journal, self._snapshots, self._transport = journal, snapshots, transport

    def replicate(self, peer: str, next_index: int, *, term: int, commit_index: int) -> int:
        """Sends a peer what its log lacks, at least a heartbeat.

        Args:
            peer: The member to send to.
            next_index: Index of the first entry that the peer lacks.
            term: The leader's term.
            commit_index: The leader's commit index.

        Returns:
            The index of the first entry that the next call shall send.
        """
        room = BURST_BYTES - self._transport.backlog(peer)
        more = True
        while more and room > 0:
            message = AppendEntries(term=term, commit_index=commit_index)
            first, last = self._journal[0][1], self._journal[-1][1]
            chunk = self._snapshots.next_chunk(peer, term) if next_index <= first else None
            if chunk is not None:
                message.serialized = chunk
                beyond = chunk.index + 1 if chunk.end else next_index
            else:
                next_index = min(max(next_index, first + 1), last + 1)
                place = next_index - first
                message.entries = self._entries(place)
                message.prevLogIdx, message.prevLogTerm = next_index - 1, self._journal[place - 1][2]
                beyond = next_index + len(message.entries)
            data = encode_message(message)
            if not self._transport.send(peer, data):
                self._snapshots.cancel(peer)
                break
            room -= len(data)
            next_index, more = beyond, beyond <= last
        return next_index

    def _entries(self, place: int) -> list[Entry]:
        """Returns as many entries from that place on as one message takes; at least one, unless the log ends there."""
        entries: list[Entry] = []
        size = 0
        for entry in self._journal[place : place + _MESSAGE_ENTRIES]:
            size += len(entry[0])
            if entries and size > MESSAGE_BYTES:
                break
            entries.append(entry)
        return entries
