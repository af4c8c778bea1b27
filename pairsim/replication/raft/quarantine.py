"""Keeps a member that lost its journal from voting until its vote cannot do harm.

A Raft member that forgot its vote, or entries that it acknowledged, can help a leader into office that lacks
committed records. So a member without a journal is in *quarantine*: it receives the log and acknowledges entries, but
it neither votes nor campaigns (a non-voting member; etcd calls it a learner). The quarantine ends, and the member is
promoted to a voter, as soon as one of these rules holds:

1. *Initial members*: all members reported to each other that they are in quarantine, so the group is new. The
   incarnations of all of them are written down, and a member that finds its own incarnation among them was there.
   They stay written down: the first member to know them may restart before it has reported them to the others, and
   it is not new any more then.
2. *Caught up*: the member holds everything that a leader had committed when the member first heard from it, and
   every election in which the member could have voted before its loss is over.

An initial member that loses its journal comes back under another incarnation, and rule 2 applies to it.
"""

from __future__ import annotations

from collections.abc import Mapping

from pairsim.replication.raft.messages import Ping
from pairsim.replication.standing import Standing


class Quarantine:
    """The quarantine of one member, and the last pings of its peers; pure decisions, without input or output.

    Attributes:
        active: Whether the member is in quarantine, so that it must not vote.
        initial_members: Incarnations of the members that were all new together, by name; empty if not known.
    """

    def __init__(
        self,
        me: str,
        others: frozenset[str],
        incarnation: int,
        *,
        needed: bool,
        election_seconds: float,
        initial_members: Mapping[str, int] = {},
    ) -> None:
        """Starts in quarantine if `needed`.

        Args:
            me: The name of this member.
            others: The names of the other members.
            incarnation: The number of this member's journal.
            needed: Whether the member lost its vote, or never had one.
            election_seconds: How long an election can last that began before the member was lost.
            initial_members: What the journal says of the initial members.
        """
        self.active = needed
        self.initial_members = dict(initial_members)
        self._me = me
        self._others = others
        self._incarnation = incarnation
        self._election_seconds = election_seconds
        self._pings: dict[str, Ping] = {}
        self._target: int | None = None
        self._since: float | None = None

    def ping(self, *, can_simulate: bool, starved: float = 0.0, standing: Standing = Standing()) -> Ping:  # noqa: B008 - it is frozen
        """Returns the ping that this member sends to its peers; `starved` is its longest wait for a processor."""
        return Ping(
            quarantined=self.active,
            incarnation=self._incarnation,
            founders=dict(self.initial_members),
            capable=can_simulate,
            starved=starved,
            standing=standing,
        )

    def ping_of(self, peer: str) -> Ping | None:
        """Returns the last ping that a peer sent over its present link; None before the first ping."""
        return self._pings.get(peer)

    def starved(self) -> list[float]:
        """Returns the longest waits for a processor that the linked peers report, in seconds."""
        return [ping.starved for ping in self._pings.values()]

    def on_ping(self, peer: str, ping: Ping) -> bool:
        """Records a peer's ping; returns True when this ends the quarantine by rule 1."""
        self._pings[peer] = ping
        if not self.active:
            return False
        if ping.founders.get(self._me) == self._incarnation:
            self.initial_members = dict(ping.founders)
        elif self._pings.keys() == self._others and all(p.quarantined for p in self._pings.values()):
            self.initial_members = {name: p.incarnation for name, p in self._pings.items()}
            self.initial_members[self._me] = self._incarnation
        else:
            return False
        self.active = False
        return True

    def on_lost(self, peer: str) -> None:
        """Forgets the ping of a peer whose link is lost: the peer may come back as another incarnation."""
        self._pings.pop(peer, None)

    def on_leader(self, committed: int, now: float) -> None:
        """Records that a leader spoke; the first time, its commit index becomes the target of rule 2."""
        if self.active and self._target is None:
            self._target, self._since = committed, now

    def on_progress(self, last_index: int, now: float) -> bool:
        """Records where the member's log ends; returns True when this ends the quarantine by rule 2."""
        if not self.active or self._target is None or self._since is None:
            return False
        if last_index < self._target or now - self._since < self._election_seconds:
            return False
        self.active = False
        return True
