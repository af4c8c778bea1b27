"""The evidence that a probe collects about one area; sans-I/O, filled by the writers and observers of the area."""

from __future__ import annotations

import msgspec

from pairsim.model.geometry import Box
from pairsim.model.status import ReplicaStatus
from pairsim_chaos.probe.availability import Availability
from pairsim_chaos.probe.ledger import Reconciliation, WriteLedger
from pairsim_chaos.probe.observations import (
    ActiveObservations,
    DigestObservations,
    DivergenceObservations,
    LabelObservations,
    ObservedTakeover,
    TickObservations,
)
from pairsim_chaos.probe.violations import Violations

MAX_SILENCE_SECONDS = 10.0
"""A longer time without an acknowledgement cannot be explained by a single failure."""


class AreaFindings(msgspec.Struct, frozen=True):
    """The findings of a probe in one area.

    Attributes:
        acknowledged: The number of commands that were answered as applied.
        silent_since_fault: Whether a fault was injected, and no command was acknowledged after it.
        reconciliation: The comparison of the state with the acknowledged commands; None if the state could not be read.
        unread_reason: Why the state could not be read; empty if it could.
        frames: The number of frames that observers received.
        undone_ticks: Ticks that were undone or changed.
        double_actives: Replicas that were active in the same term.
        active_reports: How often a replica reported that it is active.
        double_labels: Pods that were labelled active at the same moment.
        label_observations: How often the labels were observed.
        digests_compared: How many digests of two replicas for the same tick were compared.
        unequal_digests: Digests of the same tick that differ.
        divergences: Mismatches that replicas found themselves.
        availability: The share of time with acknowledgements, from 0 to 1 (`pairsim_chaos.probe.availability`).
        longest_pause: The longest time without an acknowledgement, in seconds.
        takeovers: Each takeover, with the seconds without an acknowledgement around it.
    """

    area: str
    acknowledged: int
    silent_since_fault: bool
    reconciliation: Reconciliation | None
    unread_reason: str
    frames: int
    undone_ticks: Violations
    double_actives: Violations
    active_reports: int
    double_labels: Violations
    label_observations: int
    digests_compared: int
    unequal_digests: Violations
    divergences: Violations
    availability: float
    longest_pause: float
    takeovers: tuple[tuple[ObservedTakeover, float], ...]


class AreaEvidence:
    """The evidence about one area, while it is being collected."""

    def __init__(self, area: str, bounds: Box, *, now: float, unix: float) -> None:
        """Creates empty evidence.

        Args:
            area: The name of the area.
            bounds: The box that the area has authority over.
            now: The current time of the probe's monotonic clock, in seconds.
            unix: The same moment in Unix time, in seconds.
        """
        self.area, self.bounds = area, bounds
        self.ledger = WriteLedger()
        self.availability = Availability(now)
        self.ticks, self.actives, self.labels = TickObservations(), ActiveObservations(), LabelObservations()
        self.digests, self.divergences = DigestObservations(), DivergenceObservations(unix)

    def on_status(self, status: ReplicaStatus, now: float) -> None:
        """Takes a status that a replica of the area reported."""
        self.divergences.on_status(status)
        if self.actives.on_status(status, now):
            self.ticks.on_active(status.replica, status.term, status.tick)

    def current_violation(self, now: float) -> str:
        """Returns a violation that is known at this moment as a sentence; empty if all invariants hold."""
        for found in (
            self.ticks.undone, self.actives.doubled, self.labels.doubled, self.digests.unequal, self.divergences.found,
            self.ledger.refused,
        ):  # fmt: skip
            if found.count:
                return f"{self.area}: {found.sentences[0]}"
        silence = self.availability.silence(now)
        if silence > MAX_SILENCE_SECONDS:
            return f"{self.area}: no command was acknowledged for {silence:.0f} s"
        return ""

    def findings(self, reconciliation: Reconciliation | None, unread_reason: str, now: float) -> AreaFindings:
        """Returns the findings so far, with the result of comparing the state."""
        return AreaFindings(
            area=self.area,
            acknowledged=self.ledger.acknowledged,
            silent_since_fault=self.availability.silent_since_fault,
            reconciliation=reconciliation,
            unread_reason=unread_reason,
            frames=self.ticks.seen,
            undone_ticks=self.ticks.undone,
            double_actives=self.actives.doubled,
            active_reports=self.actives.seen,
            double_labels=self.labels.doubled,
            label_observations=self.labels.seen,
            digests_compared=self.digests.compared,
            unequal_digests=self.digests.unequal,
            divergences=self.divergences.found,
            availability=self.availability.share(now),
            longest_pause=self.availability.longest_pause,
            takeovers=tuple((each, self.availability.pause_around(each.at)) for each in self.actives.takeovers),
        )
