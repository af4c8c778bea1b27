"""The only module that knows pysyncobj, down to names that it calls private.

pysyncobj brings Raft: terms, elections, log matching, commit. What pairsim cannot use as it is, this module
replaces at pysyncobj's own seams (poller, transport, journal, serializer): the wire (pickle), the journal
(rewritten in place at compaction), snapshots (a pickle of the whole object) and commands (pickled calls,
forwarded to whoever leads). Since that leans on private names, any other version is refused at start.

Mended here, because it breaks the log (Raft paper, figure 2):

- A follower deleted everything after `prevLogIdx` even where it matched, so a message that came late could
  cut off acknowledged entries, and a crash lose those that were just being written again. Only a conflict cuts.
- An answer to AppendEntries carried no term, so one from an earlier leadership could count as a match.
- A snapshot's chunk raised the commit index to the leader's, although nothing says that the logs agree up to there.
"""

from __future__ import annotations

import enum
import math
import sys
import zlib
from collections.abc import Callable

import pysyncobj.syncobj as _so
from pysyncobj.config import FAIL_REASON, SyncObjConf
from pysyncobj.node import Node
from pysyncobj.syncobj import SyncObj
from pysyncobj.transport import Transport
from pysyncobj.version import VERSION

from pairsim.replication.clock import monotonic
from pairsim.replication.raft.journal import Journal
from pairsim.replication.raft.log_matching import known, term_at
from pairsim.replication.raft.messages import Entry, RaftMessage, encode_message
from pairsim.replication.raft.ports import Wire
from pairsim.replication.raft.pysyncobj.check import check_library
from pairsim.replication.raft.replicator import Feeder
from pairsim.replication.raft.snapshots import Snapshots
from pairsim.replication.raft.state_machine import Machine
from pairsim.settings import Timing

_so.monotonicTime = monotonic  # one clock for all of replication

MAX_COMMAND_BYTES = 8 * 2**20
_QUEUE = 1_000
_NEVER = 1e9


class RaftState(enum.IntEnum):
    """pysyncobj's own numbers."""

    FOLLOWER = 0
    CANDIDATE = 1
    LEADER = 2


class _Node(Node):  # type: ignore[misc] # pysyncobj has no types
    """A member by name; hashed alike in every process, so that a seeded run can be run again."""

    def __hash__(self) -> int:
        return zlib.crc32(self.id.encode())


class _Poller:
    """Keeps pysyncobj from waiting in the middle of a turn: what a turn began would be finished too late."""

    def __init__(self, wire: Wire) -> None:
        self.notify = wire.wake

    def poll(self, _timeout: float) -> None:
        """The group waits, when its turn is over."""


class _Links(Transport):  # type: ignore[misc] # pysyncobj has no types
    """pysyncobj's transport over our wire."""

    def __init__(self, wire: Wire, term: Callable[[], int]) -> None:
        super().__init__(None, None, [])
        self._wire = wire
        self._term = term

    def send(self, node: Node, message: RaftMessage) -> bool:
        if message["type"] == "apply_command":  # a stale leader's record would commit in another term
            return False
        if message["type"] == "next_node_idx":
            message["term"] = self._term()
        return self._wire.send(node.id, encode_message(message))


class _Core(SyncObj):  # type: ignore[misc] # pysyncobj has no types
    """pysyncobj with raw records in place of pickled calls."""

    def __init__(self, me: str, others: frozenset[str], conf: SyncObjConf, transport: Transport) -> None:
        self.apply_record: Callable[[bytes], None] = lambda _payload: None
        self.feed: Callable[[], None] = lambda: None
        super().__init__(
            _Node(me), [_Node(name) for name in sorted(others)], conf, nodeClass=_Node, transport=transport
        )

    def _SyncObj__sendAppendEntries(self) -> None:
        self.feed()

    def _SyncObj__doApplyCommand(self, command: bytes) -> None:
        if command[:1] == b"\0":
            self.apply_record(command[1:])

    def _SyncObj__parseChangeClusterRequest(self, _command: bytes) -> None:
        return None


# pysyncobj makes these four by name; here the configuration carries ours ready-made.
_so.createPoller = lambda poller: poller
_so.PipeNotifier = lambda poller: poller
_so.createJournal = lambda journal: journal
_so.Serializer = lambda snapshots, *_rest: snapshots


class Raft:
    """One member of one group, driven by `turn`; everything in the Raft thread except `append`."""

    def __init__(
        self,
        me: str,
        others: frozenset[str],
        *,
        wire: Wire,
        journal: Journal,
        machine: Machine,
        timing: Timing,
        patience: float = 1.0,
    ) -> None:
        """`patience` multiplies the election timeout: the witness leaves the field to replicas."""
        self.journal = journal
        self._machine = machine
        self._frozen = False
        self._snapshots = Snapshots(journal, machine.draft, self._install)
        self._feeder = Feeder(journal, self._snapshots, wire)
        self._heartbeat = timing.heartbeat
        links = _Links(wire, lambda: self.term)
        low, high = timing.election_min * patience, timing.election_max * patience
        conf = SyncObjConf(
            autoTick=False,
            appendEntriesUseBatch=False,
            appendEntriesPeriod=timing.heartbeat,
            raftMinTimeout=low,
            raftMaxTimeout=high,
            connectionTimeout=high,
            leaderFallbackTimeout=timing.election_min * 0.9,
            commandsWaitLeader=False,
            commandsQueueSize=_QUEUE,
            logCompactionMinEntries=sys.maxsize,
            logCompactionMinTime=_NEVER,
            useFork=False,
            pollerType=_Poller(wire),
            journalFile=journal,
            fullDumpFile=self._snapshots,
        )
        self._core = core = _Core(me, others, conf, links)
        check_library(VERSION, core, SyncObj)
        core.apply_record, core.feed = machine.apply, self._feed
        core._SyncObj__needLoadDumpFile = False
        if journal.snapshot is not None:
            self._restore(journal.snapshot.data, journal.snapshot.last)

    # --- what it is

    @property
    def state(self) -> RaftState:
        """Follower, candidate or leader."""
        return RaftState(self._core._SyncObj__raftState)

    @property
    def term(self) -> int:
        """Raft's current term."""
        return int(self._core._SyncObj__raftCurrentTerm)

    @property
    def leader(self) -> str | None:
        """The leader as last heard of; may be outdated."""
        node = self._core._SyncObj__raftLeader
        return None if node is None else str(node.id)

    @property
    def last(self) -> tuple[int, int]:
        """Index and term of the last entry."""
        entry = self.journal[-1]
        return entry[1], entry[2]

    @property
    def applied(self) -> int:
        """Index of the last applied entry."""
        return int(self._core._SyncObj__raftLastApplied)

    @property
    def voted(self) -> bool:
        """Whether the vote of this term is given."""
        return self._core._SyncObj__votedForNodeId is not None

    @property
    def settled(self) -> bool:
        """As a leader: whether everything before this leadership is applied."""
        noop = self._core._SyncObj__noopIDx
        return noop is not None and self.applied >= noop

    @property
    def transfer_pending(self) -> bool:
        """Whether this member was told to campaign at once."""
        return bool(self._core._SyncObj__transferInProgress)

    def match(self, peer: str) -> int:
        """As a leader: the index up to which the peer's log is known to agree."""
        return int(self._core._SyncObj__raftMatchIndex.get(_Node(peer), 0))

    def heard(self, peer: str) -> float:
        """As a leader: when the peer last answered."""
        return float(self._core._SyncObj__lastResponseTime.get(_Node(peer), 0.0))

    @property
    def due(self) -> float:
        """When it must act by itself, if it hears nothing: as a leader it speaks, else its election timeout ends."""
        core = self._core
        leads = self.state == RaftState.LEADER
        return float(core._SyncObj__newAppendEntriesTime if leads else core._SyncObj__raftElectionDeadline)

    # --- what it is told

    def postpone(self, until: float | None = None) -> None:
        """Sets the election timeout: a new random one, or a time."""
        if until is None:
            until = monotonic() + self._core._SyncObj__generateRaftTimeout()
        self._core._SyncObj__raftElectionDeadline = until

    def adopt_term(self, term: int, vote: str) -> None:
        """Goes to a term with the vote given (to its leader)."""
        self._core._SyncObj__setCurrentTerm(term, vote)

    def append(self, payload: bytes, failed: Callable[[], None]) -> None:
        """As a leader: queues a record for the log; `failed` is called if it certainly did not get there.

        May be called from any thread. Whether it commits, the machine sees.
        """
        if len(payload) > MAX_COMMAND_BYTES:
            raise ValueError(f"a record of {len(payload)} bytes is over the limit of {MAX_COMMAND_BYTES}")

        def done(_result: object, error: int) -> None:
            if error != FAIL_REASON.SUCCESS:
                failed()

        self._core._applyCommand(payload, done, 0)

    def drop_queue(self) -> None:
        """Fails what is queued and not yet in the log: it belongs to a leadership that is over."""
        queue = self._core._SyncObj__commandsQueue
        while True:
            try:
                _command, done = queue.get_nowait()
            except _so.Queue.Empty:
                return
            done(None, FAIL_REASON.NOT_LEADER)

    def transfer(self, peer: str) -> None:
        """As a leader: tells a peer that holds the whole log to campaign at once."""
        self._core.transferLeadership(_Node(peer))

    def turn(self, *, stand: bool = True) -> None:
        """Does what is due: commit, apply, send, and if it may `stand` and its patience is at an end, an election."""
        core, deadline = self._core, self._core._SyncObj__raftElectionDeadline
        if not self._frozen and self._snapshots.due(self.term):
            core.forceLogCompaction()
        if not stand:
            core._SyncObj__raftElectionDeadline = math.inf  # it could end in the middle of the turn
        core._onTick(0.0)
        if not stand:
            core._SyncObj__raftElectionDeadline = deadline

    def freeze(self) -> None:
        """Never again compacts: the machine goes on without this log."""
        self._frozen = True

    def _feed(self) -> None:
        """As a leader: sends to every linked member what it lacks, at least a heartbeat."""
        core = self._core
        core._SyncObj__newAppendEntriesTime = monotonic() + self._heartbeat
        following, commit_index = core._SyncObj__raftNextIndex, int(core._SyncObj__raftCommitIndex)
        for node in core._SyncObj__otherNodes:
            if node in core._SyncObj__connectedNodes:
                following[node] = self._feeder.feed(
                    node.id, following[node], term=self.term, commit_index=commit_index
                )  # fmt: skip

    # --- what the wire brings

    def link_up(self, peer: str) -> None:
        """A link stands."""
        self._core._SyncObj__onNodeConnected(_Node(peer))

    def link_down(self, peer: str) -> None:
        """A link is gone."""
        self._snapshots.cancel(peer)
        self._core._SyncObj__onNodeDisconnected(_Node(peer))

    def deliver(self, peer: str, message: RaftMessage) -> None:
        """Hands a message to pysyncobj, mended where it must be."""
        kind, node = message["type"], _Node(peer)
        if kind == "next_node_idx":
            if message["term"] == self.term:
                self._take_answer(node, message)
            return
        reply = self._keep_matching(message) if kind == "append_entries" else None
        snapshot = "serialized" in message
        if kind == "append_entries" and not snapshot:
            self._snapshots.drop_incoming()
        self._core._SyncObj__onMessageReceived(node, message)
        if reply is not None:
            self._core._SyncObj__sendNextNodeIdx(node, nextNodeIdx=reply, success=True)
        elif snapshot:  # a sign of life: a leader that hears from nobody steps down
            self._core._SyncObj__sendNextNodeIdx(node)

    def _take_answer(self, node: Node, message: RaftMessage) -> None:
        following = self._core._SyncObj__raftNextIndex
        sent = following.get(node, 0)
        self._core._SyncObj__onMessageReceived(node, message)
        if not message["reset"] and sent > following.get(node, 0):
            following[node] = sent  # what is under way is not sent again

    def _keep_matching(self, message: RaftMessage) -> int | None:
        """Takes entries out that the log already has; returns the next index to report if none is left."""
        previous, term, entries = message.get("prevLogIdx"), message.get("prevLogTerm"), message.get("entries", [])
        commit_index = int(str(message["commit_index"]))
        if not (isinstance(previous, int) and isinstance(term, int) and isinstance(entries, list)):
            message["commit_index"] = min(commit_index, int(self._core._SyncObj__raftCommitIndex))
            return None
        has = known(self.journal, previous, term, entries)
        if has is None:
            return None  # pysyncobj refuses it
        end = previous + has
        if has < len(entries):
            message.update(prevLogIdx=end, prevLogTerm=term_at(self.journal, end), entries=entries[has:])
            return None
        del message["prevLogIdx"], message["prevLogTerm"], message["entries"]
        message["commit_index"] = min(commit_index, end)  # all that this leader vouched for
        return end + 1

    # --- snapshots

    def _install(self, data: bytes, previous: Entry, last: Entry) -> None:
        """Takes a leader's snapshot unless the log is already past it; entries that follow from it stay."""
        if last[1] > self.applied:
            agrees = term_at(self.journal, last[1]) == last[2]
            self.journal.save_snapshot(data, previous, last, keep_tail=agrees)
            self._restore(data, last)
        leader = self._core._SyncObj__raftLeader
        self._core._SyncObj__sendNextNodeIdx(leader, nextNodeIdx=last[1] + 1, success=True)

    def _restore(self, data: bytes, last: Entry) -> None:
        self._machine.restore(data)
        self._core._SyncObj__raftLastApplied = last[1]
        self._core._SyncObj__raftCommitIndex = max(self._core._SyncObj__raftCommitIndex, last[1])
