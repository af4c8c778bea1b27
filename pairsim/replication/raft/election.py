"""How one member decides to campaign: pre-votes, fast elections after a crash, and the reason of the leader's loss.

- **Pre-vote** (Raft thesis, 9.6): a member asks the others before it raises its term, and a member that hears a
  leader does not grant the question. So a member that comes back does not disturb a leader that is well.
- **Election at once**: when the connection to the leader closes, a replica asks at once, and again every few
  milliseconds, since the witness may learn of the loss a moment later. After the loss of a witness that led, both
  replicas would ask at the same time, so each waits for a random part of a millisecond. Timeouts are for hung
  machines and cut links.
- A member whose log is longer than the asker's does not grant the question, and asks itself: the asker cannot win.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from pairsim.model.status import Succession
from pairsim.replication.clock import monotonic
from pairsim.replication.raft.messages import Message, PreVote, PreVoteGranted, RequestVote
from pairsim.replication.raft.pysyncobj.raft import Raft, RaftState
from pairsim.settings import Timing

_FAST_FIRST_SECONDS = (0.0002, 0.001)
_FAST_ROUND_SECONDS = (0.001, 0.003)
_FAST_WINDOW_SECONDS = 0.1
_CAMPAIGN_WINDOW_SECONDS = 2.0
_LEASE_FACTOR = 0.8
"""A member counts as hearing a leader for this part of the shortest election timeout after the leader's last sign."""

_LONG_AGO = -1e9


class Election:
    """The elections of one member, in the Raft thread.

    Attributes:
        prevote_granted: Whether a majority granted this member's pre-vote, so that it may raise its term.
        loss_reason: Why the leader before this member's term was lost, if this member becomes the leader now.
        patience: How much longer than on an idle machine a leader may be silent, in seconds.
    """

    def __init__(
        self,
        others: tuple[str, ...],
        *,
        raft: Raft,
        send: Callable[[str, Message], None],
        timing: Timing,
        witness: bool,
    ) -> None:
        """Starts as a member that heard no leader.

        Args:
            others: The names of the other members.
            raft: Raft itself.
            send: Sends a message to a peer.
            timing: Raft's timeouts.
            witness: Whether this member is the witness, which leaves fast elections to the replicas.
        """
        self.prevote_granted = False
        self.loss_reason = Succession.SILENT
        self._others, self._raft, self._send, self._witness = others, raft, send, witness
        self._shortest_timeout = timing.election_min
        self.patience = 0.0
        self._leader_heard = self._fast_until = self._campaign_until = _LONG_AGO
        self._round = random.getrandbits(31) << 16
        self._granted: set[str] = set()

    def campaign_soon(self) -> None:
        """Asks for votes at once, and as soon as a peer is linked: the others expect this member to lead."""
        self._campaign_until = monotonic() + _CAMPAIGN_WINDOW_SECONDS
        self._raft.postpone(0.0)

    def on_turn(self, now: float) -> None:
        """Requests pre-votes if the election timeout is over."""
        if self._raft.due > now or self.prevote_granted:
            return
        if self.patience and now - self._leader_heard < self._shortest_timeout + self.patience:
            self._raft.postpone()  # the leader may only wait for a processor
        else:
            self._request_prevotes(now)

    def on_link_up(self) -> None:
        """Asks the new peer at once if this member is expected to lead."""
        if monotonic() < self._campaign_until and self._raft.leader is None:
            self._raft.postpone(0.0)

    def on_link_down(self, peer: str, *, linked: bool, voter: bool, alone: bool = False) -> None:
        """Handles a lost link; a lost link to the leader is the fastest sign of the leader's death.

        Args:
            peer: The peer whose link is lost.
            linked: Whether any other peer is still linked.
            voter: Whether this member votes.
            alone: Whether only this member campaigns: the lost peer is the other replica, and the witness waits longer.
        """
        if self.prevote_granted and not linked:
            self.prevote_granted = False  # the granted pre-votes are void: a peer that comes back is asked first
            self._raft.postpone()
        if peer == self._raft.leader and self._raft.state != RaftState.LEADER:
            now = monotonic()
            self._leader_heard, self.loss_reason = _LONG_AGO, Succession.CLOSED
            if voter and not self._witness:
                self._fast_until = now + _FAST_WINDOW_SECONDS
                spread = 0.0 if alone else random.uniform(*_FAST_FIRST_SECONDS)  # noqa: S311 - spreads candidates
                self._raft.postpone(now + spread)

    def on_leader_message(self, now: float) -> None:
        """Records a sign of life of the leader, and ends this member's own campaign."""
        self._leader_heard, self.loss_reason = now, Succession.SILENT
        self.prevote_granted = False

    def on_prevote(self, peer: str, question: PreVote, now: float) -> None:
        """Answers a pre-vote.

        A member that hears a leader does not answer, unless the leader itself asks, which has stepped down then. A
        member with a longer log asks for votes itself: the asker cannot win, so this member must lead (as a caretaker,
        if it cannot simulate).
        """
        if peer != self._raft.leader and self._hears_leader(now):
            return
        index, term = self._raft.last
        if (question.last_term, question.last_index) >= (term, index):
            if question.term > self._raft.term:
                self._send(peer, PreVoteGranted(round=question.round))
            else:
                self.send_term(peer)
        elif not self.prevote_granted:
            self._request_prevotes(now)

    def on_prevote_granted(self, peer: str, answer: PreVoteGranted) -> None:
        """Counts a granted pre-vote of the current round; the grant that completes a majority starts the campaign.

        A later grant of the same round changes nothing: to campaign again would give up the running election.
        """
        if answer.round == self._round and self._raft.state != RaftState.LEADER and not self._has_majority():
            self._granted.add(peer)
            if self._has_majority():
                self.prevote_granted = True
                self._raft.postpone(0.0)

    def _has_majority(self) -> bool:
        return 2 * (len(self._granted) + 1) > len(self._others) + 1

    def send_term(self, peer: str) -> None:
        """Sends a stale member this member's term as a vote request that the peer must refuse: pysyncobj reads that."""
        self._send(peer, RequestVote(term=self._raft.term, last_log_index=-1, last_log_term=-1))

    def _request_prevotes(self, now: float) -> None:
        fast = now < self._fast_until and not self._witness
        self._raft.postpone(now + random.uniform(*_FAST_ROUND_SECONDS) if fast else None)  # noqa: S311 - spreads candidates
        self._round += 1
        self._granted = set()
        index, term = self._raft.last
        question = PreVote(term=self._raft.term + 1, round=self._round, last_index=index, last_term=term)
        for peer in self._others:
            self._send(peer, question)

    def _hears_leader(self, now: float) -> bool:
        """Returns whether a leader is well as far as this member knows; a leader is if a peer answered it lately."""
        lease = _LEASE_FACTOR * (self._shortest_timeout + self.patience)
        if self._raft.state == RaftState.LEADER:
            newest = max(self._raft.last_response(peer) for peer in self._others)
            return now - newest < lease
        return now - self._leader_heard < lease
