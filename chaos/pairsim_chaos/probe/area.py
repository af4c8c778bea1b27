"""All that a probe knows of one area, filled by whoever listens to it; sans-I/O."""

from __future__ import annotations

import msgspec

from pairsim.model.geometry import Box
from pairsim.model.status import ReplicaStatus
from pairsim_chaos.probe.availability import Pauses
from pairsim_chaos.probe.ledger import Account, Ledger
from pairsim_chaos.probe.observations import Actives, Digests, Divergences, Labels, Takeover, Ticks
from pairsim_chaos.probe.violations import Violations

SILENT = 10.0
"""Seconds without an acknowledgement that no single failure explains."""


class Findings(msgspec.Struct, frozen=True):
    """What a probe found in one area.

    Attributes:
        account: None if the state could not be read in the end; `unread` says why.
        ticks: Frames that observers saw.
        statuses, labelled: How often a replica said to be active, and how often labels were looked at.
        digests: Comparisons of two replicas' digests of the same tick.
        availability: From 0 to 1; see `pairsim_chaos.probe.availability`.
        longest: Seconds without an acknowledgement, the longest.
        takeovers: Each with the seconds without an acknowledgement around it.
    """

    area: str
    account: Account | None
    unread: str
    ticks: int
    undone: Violations
    actives: Violations
    statuses: int
    labels: Violations
    labelled: int
    digests: int
    unequal: Violations
    divergences: Violations
    availability: float
    longest: float
    takeovers: tuple[tuple[Takeover, float], ...]


class AreaNotes:
    """Of one area."""

    def __init__(self, area: str, bounds: Box, *, now: float, unix: float) -> None:
        """Begins at `now` of the probe's clock, which is `unix` in Unix time."""
        self.area, self.bounds = area, bounds
        self.ledger = Ledger()
        self.pauses = Pauses(now)
        self.ticks, self.actives, self.labels = Ticks(), Actives(), Labels()
        self.digests, self.divergences = Digests(), Divergences(unix)

    def status(self, status: ReplicaStatus, now: float) -> None:
        """What one of its replicas says."""
        self.divergences.status(status)
        if self.actives.status(status, now):
            self.ticks.active(status.replica, status.term, status.tick)

    def broken(self, now: float) -> str:
        """What does not hold at this moment; empty if all does."""
        for found in (
            self.ticks.undone, self.actives.twice, self.labels.twice, self.digests.unequal, self.divergences.found,
            self.ledger.refused,
        ):  # fmt: skip
            if found.count:
                return f"{self.area}: {found.sentences[0]}"
        silent = self.pauses.silent(now)
        return f"{self.area}: no command was acknowledged for {silent:.0f} s" if silent > SILENT else ""

    def findings(self, account: Account | None, unread: str, now: float) -> Findings:
        """What there is to judge."""
        return Findings(
            area=self.area,
            account=account,
            unread=unread,
            ticks=self.ticks.seen,
            undone=self.ticks.undone,
            actives=self.actives.twice,
            statuses=self.actives.seen,
            labels=self.labels.twice,
            labelled=self.labels.looks,
            digests=self.digests.compared,
            unequal=self.digests.unequal,
            divergences=self.divergences.found,
            availability=self.pauses.availability(now),
            longest=self.pauses.longest,
            takeovers=tuple((each, self.pauses.around(each.at)) for each in self.actives.takeovers),
        )
