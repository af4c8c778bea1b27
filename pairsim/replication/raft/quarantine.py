"""Keeps a member that lost its journal from voting until it cannot do harm.

A Raft member that forgot its vote or entries that it acknowledged can help a leader that lacks committed
records into office. So a member without a journal neither votes nor campaigns, until one of these holds:

1. *Founders*: all members told each other that they are empty. Their incarnations are written down as the
   founders, and whoever finds its own incarnation among them was there. They stay written down: the first to know
   may restart before it has told the others, and is not new any more.
2. *Caught up*: it holds everything that a leader had committed when it first heard from it, and every
   election that it could have taken part in before its loss is over.

A founder that loses its journal comes back under another incarnation and falls under 2.
"""

from __future__ import annotations

from collections.abc import Mapping

from pairsim.replication.raft.messages import Ping


class Quarantine:
    """The rules above; sans-I/O, one per group."""

    def __init__(
        self,
        me: str,
        others: frozenset[str],
        incarnation: int,
        *,
        needed: bool,
        patience: float,
        founders: Mapping[str, int] = {},
    ) -> None:
        """Starts in quarantine if `needed`; elections from before can last `patience` seconds."""
        self.active = needed
        self.founders = dict(founders)
        self._me = me
        self._others = others
        self._incarnation = incarnation
        self._patience = patience
        self._heard: dict[str, Ping] = {}
        self._target: int | None = None
        self._since: float | None = None

    def ping(self, *, capable: bool) -> Ping:
        """What to tell the others."""
        return Ping(
            quarantined=self.active,
            incarnation=self._incarnation,
            founders=dict(self.founders),
            capable=capable,
        )

    def heard(self, sender: str) -> Ping | None:
        """The last ping over the link that stands."""
        return self._heard.get(sender)

    def on_ping(self, sender: str, ping: Ping) -> bool:
        """Takes a peer's ping; True when this ends the quarantine."""
        self._heard[sender] = ping
        if not self.active:
            return False
        if ping.founders.get(self._me) == self._incarnation:
            self.founders = dict(ping.founders)
        elif self._heard.keys() == self._others and all(p.quarantined for p in self._heard.values()):
            self.founders = {name: p.incarnation for name, p in self._heard.items()}
            self.founders[self._me] = self._incarnation
        else:
            return False
        self.active = False
        return True

    def on_lost(self, sender: str) -> None:
        """Forgets what a peer said: it may come back as another incarnation."""
        self._heard.pop(sender, None)

    def on_leader(self, committed: int, now: float) -> None:
        """A leader spoke: the log up to `committed` is the least that must be caught up with."""
        if self.active and self._target is None:
            self._target, self._since = committed, now

    def on_progress(self, last_index: int, now: float) -> bool:
        """The log ends at `last_index`; True when this ends the quarantine."""
        if not self.active or self._target is None or self._since is None:
            return False
        if last_index < self._target or now - self._since < self._patience:
            return False
        self.active = False
        return True
