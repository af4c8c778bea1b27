"""Raft itself: terms, elections, log matching and commit, as pysyncobj brings them.

This package is the only one that knows pysyncobj, down to its private names. pairsim replaces the parts that it cannot
use at pysyncobj's own seams (poller, transport, journal, serializer): the transport (pickle), the journal (rewritten
in place at a compaction), snapshots (a pickle of the whole object) and commands (pickled calls, forwarded to the
leader). Since that depends on private names, any other version of pysyncobj is refused at the start.

`Raft` corrects three faults of pysyncobj that break the log (Raft paper, figure 2):

- A follower deleted everything after `prevLogIdx`, even entries that matched. So a message that came late could cut
  off acknowledged entries, and a crash could lose the entries that were just being written again. Only a conflict
  cuts now.
- An answer to AppendEntries carried no term, so that an answer from an earlier leadership could count as a match.
- A snapshot's chunk raised the commit index to the leader's, although it does not say that the logs agree up to there.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable

import pysyncobj.syncobj as _so
from pysyncobj.config import FAIL_REASON
from pysyncobj.node import Node

from pairsim.replication.clock import monotonic
from pairsim.replication.raft.journal import Journal
from pairsim.replication.raft.messages import Entry, RaftMessage
from pairsim.replication.raft.ports import StateMachine, Transport
from pairsim.replication.raft.pysyncobj.adapters import NamedNode
from pairsim.replication.raft.pysyncobj.core import Core
from pairsim.replication.raft.pysyncobj.log_matching import matching_prefix, term_at
from pairsim.replication.raft.replicator import LogReplicator
from pairsim.replication.raft.snapshots import Snapshots
from pairsim.settings import Timing

MAX_COMMAND_BYTES = 8 * 2**20


class RaftState(enum.IntEnum):
    """The role of a member, with pysyncobj's own numbers."""

    FOLLOWER = 0
    CANDIDATE = 1
    LEADER = 2


_STATES = tuple(RaftState)
"""The roles by their numbers: each turn asks several times, and an enumeration takes a microsecond to look up one."""


class Raft:
    """Raft for one member of one group, driven by `turn`; all methods but `append` run in the Raft thread.

    Attributes:
        journal: The member's journal, which holds its log.
    """

    def __init__(
        self,
        me: str,
        others: frozenset[str],
        *,
        transport: Transport,
        journal: Journal,
        state_machine: StateMachine,
        timing: Timing,
        timeout_factor: float = 1.0,
    ) -> None:
        """Starts from the journal's content, and restores the state machine from its snapshot.

        Args:
            me: The name of this member.
            others: The names of the other members.
            transport: The links to the other members.
            journal: The member's journal.
            state_machine: Receives the committed records.
            timing: Raft's timeouts.
            timeout_factor: Multiplies the election timeout, so that the witness leaves elections to the replicas.

        Raises:
            UnsupportedLibraryError: The installed pysyncobj is another one.
        """
        self.journal = journal
        self._state_machine = state_machine
        self._compacts = True
        self.snapshots = Snapshots(journal, state_machine.begin_snapshot, self._install)
        self._replicator = LogReplicator(journal, self.snapshots, transport)
        self._heartbeat = timing.heartbeat
        self._core = Core(
            me,
            others,
            transport=transport,
            journal=journal,
            snapshots=self.snapshots,
            timing=timing,
            timeout_factor=timeout_factor,
        )
        self._core.apply_record, self._core.replicate = state_machine.apply, self._replicate
        if journal.snapshot is not None:
            self._restore(journal.snapshot.data, journal.snapshot.last)

    # --- state

    @property
    def state(self) -> RaftState:
        """The member's role: follower, candidate or leader."""
        return _STATES[self._core._SyncObj__raftState]

    @property
    def term(self) -> int:
        """Raft's current term."""
        return int(self._core._SyncObj__raftCurrentTerm)

    @property
    def leader(self) -> str | None:
        """The leader that this member last heard of, which may be outdated."""
        node = self._core._SyncObj__raftLeader
        return None if node is None else str(node.id)

    @property
    def last(self) -> tuple[int, int]:
        """Index and term of the last entry of the log."""
        entry = self.journal[-1]
        return entry[1], entry[2]

    @property
    def applied(self) -> int:
        """Index of the last applied entry."""
        return int(self._core._SyncObj__raftLastApplied)

    @property
    def settled(self) -> bool:
        """On a leader: whether everything before this leadership is applied.

        Its log has all that an earlier leader committed, and its first entry is pysyncobj's own, which says nothing. A
        member that had applied all the rest before its election need not wait until that entry is committed.
        """
        noop = self._core._SyncObj__noopIDx
        return noop is not None and self.applied >= noop - 1

    @property
    def transfer_pending(self) -> bool:
        """Whether a leader asked this member to campaign at once."""
        return bool(self._core._SyncObj__transferInProgress)

    def match_index(self, peer: str) -> int:
        """Returns, on a leader, the index up to which the peer's log is known to agree."""
        return int(self._core._SyncObj__raftMatchIndex.get(NamedNode(peer), 0))

    def last_response(self, peer: str) -> float:
        """Returns, on a leader, the time of the peer's last answer; 0.0 before the first answer."""
        return float(self._core._SyncObj__lastResponseTime.get(NamedNode(peer), 0.0))

    @property
    def due(self) -> float:
        """When this member must act by itself: a leader sends then, any other member's election timeout ends."""
        core = self._core
        leads = self.state == RaftState.LEADER
        return float(core._SyncObj__newAppendEntriesTime if leads else core._SyncObj__raftElectionDeadline)

    # --- commands

    def postpone(self, until: float | None = None) -> None:
        """Sets the end of the election timeout: to a time, or to a random one as Raft demands."""
        if until is None:
            until = monotonic() + self._core._SyncObj__generateRaftTimeout()
        self._core._SyncObj__raftElectionDeadline = until

    def adopt_term(self, term: int, leader: str) -> None:
        """Goes to a leader's term and records the vote as given to this leader, unless it is already given."""
        if term > self.term or self._core._SyncObj__votedForNodeId is None:
            self._core._SyncObj__setCurrentTerm(term, leader)

    def append(self, payload: bytes, failed: Callable[[], None]) -> None:
        """Queues, on a leader, a record for the log; may be called from any thread.

        Args:
            payload: The record.
            failed: Called if the record certainly did not get into the log. Otherwise the state machine learns
                whether it is committed.

        Raises:
            ValueError: The record is over `MAX_COMMAND_BYTES`.
        """
        if len(payload) > MAX_COMMAND_BYTES:
            raise ValueError(f"a record of {len(payload)} bytes is over the limit of {MAX_COMMAND_BYTES}")

        def done(_result: object, error: int) -> None:
            if error != FAIL_REASON.SUCCESS:
                failed()

        self._core._applyCommand(payload, done, 0)

    def drop_queue(self) -> None:
        """Fails the records that are queued and not yet in the log: they belong to a leadership that is over."""
        queue = self._core._SyncObj__commandsQueue
        while True:
            try:
                _command, done = queue.get_nowait()
            except _so.Queue.Empty:
                return
            done(None, FAIL_REASON.NOT_LEADER)

    def transfer(self, peer: str) -> None:
        """Asks, on a leader, a peer that holds the whole log to campaign at once."""
        self._core.transferLeadership(NamedNode(peer))

    def turn(self, *, may_campaign: bool = True, patience: float = 0.0) -> None:
        """Does everything that is due: commits, applies, sends, compacts.

        Args:
            may_campaign: Whether the member starts an election if its election timeout is over.
            patience: How much longer than on an idle machine a leader waits for answers, in seconds.
        """
        core, deadline = self._core, self._core._SyncObj__raftElectionDeadline
        core.set_patience(patience)
        if self._compacts and self.snapshots.compaction_due(self.term):
            core.forceLogCompaction()
        if not may_campaign:
            core._SyncObj__raftElectionDeadline = math.inf  # it could end in the middle of the turn
        core._onTick(0.0)
        if not may_campaign:
            core._SyncObj__raftElectionDeadline = deadline

    def stop_compaction(self) -> None:
        """Ends compaction for good: members that missed the seal must find it in the log of the draining group."""
        self._compacts = False

    def _replicate(self) -> None:
        """Sends every linked member what it lacks, at least a heartbeat."""
        core = self._core
        core._SyncObj__newAppendEntriesTime = monotonic() + self._heartbeat
        next_index, commit_index = core._SyncObj__raftNextIndex, int(core._SyncObj__raftCommitIndex)
        for node in core._SyncObj__otherNodes:
            if node in core._SyncObj__connectedNodes:
                next_index[node] = self._replicator.replicate(
                    node.id, next_index[node], term=self.term, commit_index=commit_index
                )  # fmt: skip

    # --- events of the transport

    def link_up(self, peer: str) -> None:
        """Records that a link to the peer is established."""
        self._core._SyncObj__onNodeConnected(NamedNode(peer))

    def link_down(self, peer: str) -> None:
        """Records that the link to the peer is lost."""
        self.snapshots.cancel(peer)
        self._core._SyncObj__onNodeDisconnected(NamedNode(peer))

    def deliver(self, peer: str, message: RaftMessage) -> None:
        """Passes a peer's message to pysyncobj, corrected where pysyncobj would break the log."""
        kind, node = message["type"], NamedNode(peer)
        if kind == "next_node_idx":
            if message["term"] == self.term:
                self._take_answer(node, message)
            return
        reply = self._keep_matching(message) if kind == "append_entries" else None
        snapshot = "serialized" in message
        if kind == "append_entries" and not snapshot:
            self.snapshots.drop_incoming()
        self._core._SyncObj__onMessageReceived(node, message)
        if reply is not None:
            self._core._SyncObj__sendNextNodeIdx(node, nextNodeIdx=reply, success=True)
        elif snapshot:  # a sign of life: a leader that hears from no member steps down
            self._core._SyncObj__sendNextNodeIdx(node)

    def _take_answer(self, node: Node, message: RaftMessage) -> None:
        next_index = self._core._SyncObj__raftNextIndex
        sent = next_index.get(node, 0)
        self._core._SyncObj__onMessageReceived(node, message)
        if not message["reset"] and sent > next_index.get(node, 0):
            next_index[node] = sent  # entries under way are not sent again

    def _keep_matching(self, message: RaftMessage) -> int | None:
        """Removes entries from a message that the log already holds.

        Returns:
            The next index to report if no entry is left; None if pysyncobj shall answer.
        """
        previous, term, entries = message.get("prevLogIdx"), message.get("prevLogTerm"), message.get("entries", [])
        commit_index = int(str(message["commit_index"]))
        if not (isinstance(previous, int) and isinstance(term, int) and isinstance(entries, list)):
            message["commit_index"] = min(commit_index, int(self._core._SyncObj__raftCommitIndex))
            return None
        matching = matching_prefix(self.journal, previous, term, entries)
        if matching is None:
            return None  # pysyncobj refuses the message
        end = previous + matching
        if matching < len(entries):
            message.update(prevLogIdx=end, prevLogTerm=term_at(self.journal, end), entries=entries[matching:])
            return None
        del message["prevLogIdx"], message["prevLogTerm"], message["entries"]
        message["commit_index"] = min(commit_index, end)  # the leader vouched for the log up to `end` only
        return end + 1

    # --- snapshots

    def _install(self, data: bytes, previous: Entry, last: Entry) -> None:
        """Installs a leader's snapshot unless the log is already past it; entries that follow from it stay."""
        if last[1] > self.applied:
            agrees = term_at(self.journal, last[1]) == last[2]
            self.journal.save_snapshot(data, previous, last, keep_tail=agrees)
            self._restore(data, last)
        leader = self._core._SyncObj__raftLeader
        self._core._SyncObj__sendNextNodeIdx(leader, nextNodeIdx=last[1] + 1, success=True)

    def _restore(self, data: bytes, last: Entry) -> None:
        self._state_machine.restore(data)
        self._core._SyncObj__raftLastApplied = last[1]
        self._core._SyncObj__raftCommitIndex = max(self._core._SyncObj__raftCommitIndex, last[1])
