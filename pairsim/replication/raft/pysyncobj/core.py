"""pysyncobj's `SyncObj`, with raw records in place of pickled calls, and its configuration."""

from __future__ import annotations

import sys
from collections.abc import Callable

from pysyncobj.config import SyncObjConf
from pysyncobj.syncobj import SyncObj
from pysyncobj.version import VERSION

from pairsim.replication.raft.journal import Journal
from pairsim.replication.raft.ports import Transport
from pairsim.replication.raft.pysyncobj.adapters import IdlePoller, NamedNode, TransportAdapter
from pairsim.replication.raft.pysyncobj.check import check_library
from pairsim.replication.raft.snapshots import Snapshots
from pairsim.settings import Timing

_QUEUED_COMMANDS = 1_000
_NEVER_SECONDS = 1e9
_FALLBACK_SHARE = 0.9
"""A leader that no majority answers steps down after this part of the shortest election timeout."""


class Core(SyncObj):  # type: ignore[misc] # pysyncobj has no types
    """A `SyncObj` whose log holds raw records, and which leaves sending them to `replicate`.

    Attributes:
        apply_record: Receives each committed record.
        replicate: Sends the log to the other members; called when a leader must send.
    """

    def __init__(
        self,
        me: str,
        others: frozenset[str],
        *,
        transport: Transport,
        journal: Journal,
        snapshots: Snapshots,
        timing: Timing,
        timeout_factor: float,
    ) -> None:
        """Starts from the journal's content.

        Raises:
            UnsupportedLibraryError: The installed pysyncobj is another one.
        """
        self.apply_record: Callable[[bytes], None] = lambda _payload: None
        self.replicate: Callable[[], None] = lambda: None
        self._shortest_timeout = timing.election_min
        low, high = timing.election_min * timeout_factor, timing.election_max * timeout_factor
        conf = SyncObjConf(
            autoTick=False,
            appendEntriesUseBatch=False,
            appendEntriesPeriod=timing.heartbeat,
            raftMinTimeout=low,
            raftMaxTimeout=high,
            connectionTimeout=high,
            leaderFallbackTimeout=timing.election_min * _FALLBACK_SHARE,
            commandsWaitLeader=False,
            commandsQueueSize=_QUEUED_COMMANDS,
            logCompactionMinEntries=sys.maxsize,
            logCompactionMinTime=_NEVER_SECONDS,
            useFork=False,
            pollerType=IdlePoller(transport),
            journalFile=journal,
            fullDumpFile=snapshots,
        )
        links = TransportAdapter(transport, lambda: int(self._SyncObj__raftCurrentTerm))
        nodes = [NamedNode(name) for name in sorted(others)]
        super().__init__(NamedNode(me), nodes, conf, nodeClass=NamedNode, transport=links)
        check_library(VERSION, self, SyncObj)
        self._SyncObj__needLoadDumpFile = False

    def set_patience(self, seconds: float) -> None:
        """Sets for how many seconds longer than on an idle machine a leader waits for answers."""
        self._SyncObj__conf.leaderFallbackTimeout = (self._shortest_timeout + seconds) * _FALLBACK_SHARE

    def _SyncObj__sendAppendEntries(self) -> None:
        self.replicate()

    def _SyncObj__doApplyCommand(self, command: bytes) -> None:
        if command[:1] == b"\0":
            self.apply_record(command[1:])

    def _SyncObj__parseChangeClusterRequest(self, _command: bytes) -> None:
        return None
