"""The parts that pysyncobj gets from pairsim: its members, its poller and its transport.

pysyncobj makes its poller, its notifier, its journal and its serializer by name, from its configuration. This module
replaces the four factories, so that the configuration carries pairsim's own objects ready-made. It also puts
pysyncobj on the clock of replication.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import pysyncobj.syncobj as _so
from pysyncobj.node import Node
from pysyncobj.transport import Transport as LibraryTransport

from pairsim.replication.clock import monotonic
from pairsim.replication.raft.messages import RaftMessage, encode_message
from pairsim.replication.raft.ports import Transport

_so.monotonicTime = monotonic  # one clock for all of replication
_so.createPoller = lambda poller: poller
_so.PipeNotifier = lambda poller: poller
_so.createJournal = lambda journal: journal
_so.Serializer = lambda snapshots, *_rest: snapshots


class NamedNode(Node):  # type: ignore[misc] # pysyncobj has no types
    """A member by its name; its hash is the same in every process, so that a seeded run can be repeated."""

    def __hash__(self) -> int:
        return zlib.crc32(self.id.encode())


class IdlePoller:
    """A poller that never waits: a wait in the middle of pysyncobj's turn would delay what the turn began."""

    def __init__(self, transport: Transport) -> None:
        self.notify = transport.wake

    def poll(self, _timeout: float) -> None:
        """Returns at once; `RaftNode` waits at the end of its own turn."""


class TransportAdapter(LibraryTransport):  # type: ignore[misc] # pysyncobj has no types
    """pysyncobj's transport on top of pairsim's `Transport`."""

    def __init__(self, transport: Transport, term: Callable[[], int]) -> None:
        """Sends over a transport; `term` returns the member's current term."""
        super().__init__(None, None, [])
        self._transport = transport
        self._term = term

    def send(self, node: Node, message: RaftMessage) -> bool:
        """Sends a message, with the term added to an answer to AppendEntries."""
        if message["type"] == "apply_command":  # a stale leader's record would commit in another term
            return False
        if message["type"] == "next_node_idx":
            message["term"] = self._term()
        return self._transport.send(node.id, encode_message(message))
