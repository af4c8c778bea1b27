"""Transfers of leadership (Raft thesis, 3.10): a leader asks a peer that holds the whole log to campaign at once.

There are two occasions. The active hands over to a *target* in a planned change. And a *caretaker*, which is a leader
that cannot simulate (the witness, or a replica without the state), holds the log and hands the leadership to a peer
that can simulate, as soon as this peer has caught up.
"""

from __future__ import annotations

from pairsim.replication.raft.pysyncobj.raft import Raft
from pairsim.replication.raft.quarantine import Quarantine

_RETRY_SECONDS = 0.03


class LeadershipTransfer:
    """Transfers from and to one member, in the Raft thread; any thread may set the target.

    Attributes:
        target: The peer that shall lead next, as the active demanded; None if no change is planned.
        transfer_term: The term in which a leader last asked this member to campaign.
    """

    def __init__(self, others: tuple[str, ...], raft: Raft, quarantine: Quarantine) -> None:
        self.target: str | None = None
        self.transfer_term: int | None = None
        self._others, self._raft, self._quarantine = others, raft, quarantine
        self._next_transfer = 0.0

    def on_request(self) -> None:
        """Records that the leader of the current term asked this member to campaign."""
        self.transfer_term = self._raft.term

    def transfer_to_target(self, now: float) -> None:
        """Hands over to the target, if there is one and it has caught up."""
        if self.target is not None:
            self._transfer(self.target, now)

    def transfer_to_capable(self, now: float) -> None:
        """Hands over, as a caretaker, to a voter that can simulate and has caught up."""
        for peer in self._others:
            ping = self._quarantine.ping_of(peer)
            if ping and ping.capable and not ping.quarantined:
                self._transfer(peer, now)

    def _transfer(self, peer: str, now: float) -> None:
        caught_up = self._raft.match_index(peer) == self._raft.last[0] == self._raft.applied
        if caught_up and now >= self._next_transfer:
            self._next_transfer = now + _RETRY_SECONDS
            self._raft.transfer(peer)
