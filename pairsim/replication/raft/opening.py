"""How a leader becomes the active: it opens its term.

The first record of a leader is an `Open` record of its term. When this record is applied, everything before it is
applied, too, and only then is the leader the active. Every member ignores records of any term but the opened one: this
is the fence against writers of an earlier leadership.
"""

from __future__ import annotations

from pairsim.model.status import Succession
from pairsim.replication.log.records import Open, encode_record
from pairsim.replication.raft.ports import LeadershipListener
from pairsim.replication.raft.pysyncobj.raft import Raft


class TermOpening:
    """The term that one member opens, in the Raft thread; any thread may read the attributes.

    Attributes:
        open_term: The term in which this member is the active; None if it is not the active.
        pending_term: The term whose `Open` record is in the log and not yet applied, or None.
    """

    def __init__(self, listener: LeadershipListener) -> None:
        self.open_term: int | None = None
        self.pending_term: int | None = None
        self._listener = listener

    def open(self, raft: Raft) -> None:
        """Appends the `Open` record of the current term, once per term."""
        term = raft.term
        if self.pending_term != term:
            self.pending_term = term
            raft.drop_queue()
            raft.append(encode_record(Open(term)), lambda: None)

    def on_applied(self, raft: Raft, applied_term: int, succession: Succession | None) -> None:
        """Makes this member the active if the record just applied opened the term that it leads.

        Args:
            raft: Raft's state.
            applied_term: The term of the state machine after the record.
            succession: Why the active before is gone; None if there never was an active.
        """
        if self.pending_term == applied_term == raft.term:
            self.pending_term = None
            self.open_term = applied_term
            self._listener.on_leadership_gained(applied_term, succession)

    def close(self, raft: Raft) -> None:
        """Ends this member's time as the active, and forgets an opening of an earlier term."""
        if self.open_term is not None:
            self.open_term = None
            raft.drop_queue()
            self._listener.on_leadership_lost()
        if self.pending_term is not None and self.pending_term != raft.term:
            self.pending_term = None
