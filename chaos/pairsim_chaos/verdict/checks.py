"""Judges the findings of a probe; pure functions.

A check without evidence has not held: a probe that received no acknowledgement, saw no tick or compared no digest
proves nothing. Neither does an experiment that did not run, or whose fault was not injected.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from pairsim_chaos.probe.area_evidence import AreaFindings
from pairsim_chaos.probe.ledger import Reconciliation
from pairsim_chaos.probe.violations import Violations

REDUNDANT = "redundant at the end"
"""The name of the check that the controller reports all areas as redundant after the experiment."""
UNKNOWN = "-"
"""Stands for a count of an area whose state cannot be compared."""


class Outcome(enum.Enum):
    """What came of an experiment, in the words of all reports."""

    HELD = "held"
    NOT_HELD = "NOT HELD"
    NO_VERDICT = "NO VERDICT"
    UNSUPPORTED = "not supported"


class Check(msgspec.Struct, frozen=True):
    """The result of one invariant in one experiment.

    Attributes:
        name: The invariant.
        held: Whether the invariant held.
        figure: The counts behind the result.
        reasons: Why the invariant did not hold, as sentences, area by area.
        violated: Whether a violation was observed; if not, an invariant that has not held lacks evidence.
    """

    name: str
    held: bool
    figure: str
    reasons: tuple[str, ...] = ()
    violated: bool = False


class TakeoverReport(msgspec.Struct, frozen=True):
    """A takeover as it is reported.

    Attributes:
        before, after: The names of the replica that was active before, and of the one that took over.
        pause: Seconds without an acknowledgement around the takeover.
    """

    area: str
    term: int
    before: str
    after: str
    pause: float


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on one experiment. The field names are the keys of the JSON report.

    Attributes:
        experiment: The name of the experiment.
        file: The path of its file.
        refused: Why the target does not support the experiment; empty if it does.
        made: Whether the experiment ran far enough for a judgement.
        failed: Why the fault could not be injected as written, or not be removed; empty if it could.
        targets: The processes that the fault was injected into.
        seconds: How long the world was probed.
        checks: The results of all invariants; empty if the experiment was refused.
        availability: The lowest availability of all areas, from 0 to 1.
        longest: The longest time without an acknowledgement in any area, in seconds.
        redundant_after: Seconds from the first loss of redundancy until all areas stayed redundant; 0 without a loss.
        takeovers: The takeovers of all areas.
        notes: Sentences that explain figures of the experiment.
    """

    experiment: str
    file: str = ""
    refused: str = ""
    made: bool = False
    failed: str = ""
    targets: tuple[str, ...] = ()
    seconds: float = 0.0
    checks: tuple[Check, ...] = ()
    availability: float = 0.0
    longest: float = 0.0
    redundant_after: float = 0.0
    takeovers: tuple[TakeoverReport, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """Returns the outcome; an experiment without checks has proved nothing."""
        if self.refused:
            return Outcome.UNSUPPORTED
        if not self.made or not self.checks:
            return Outcome.NO_VERDICT
        return Outcome.NOT_HELD if self.failed or not all(check.held for check in self.checks) else Outcome.HELD

    @property
    def held(self) -> bool:
        """Returns whether the experiment ran as written and all its invariants held."""
        return self.outcome is Outcome.HELD


def checks(found: Sequence[AreaFindings], not_redundant: str) -> tuple[Check, ...]:
    """Returns the results of all invariants.

    Args:
        found: The findings of every area.
        not_redundant: Why the world is not redundant at the end; empty if it is redundant.
    """
    return (
        _durable(found),
        _conserved(found),
        _violation_check(
            "no tick is undone or changed", found, lambda one: one.undone_ticks, lambda one: one.frames, "ticks seen"
        ),
        _violation_check(
            "one active in a term", found, lambda one: one.double_actives, lambda one: one.active_reports, "statuses"
        ),
        _violation_check(
            "one pod labelled active",
            found,
            lambda one: one.double_labels,
            lambda one: one.label_observations,
            "label sets",
        ),
        _digests(found),
        Check(
            REDUNDANT,
            held=not not_redundant,
            figure="no" if not_redundant else "yes",
            reasons=(not_redundant,) if not_redundant else (),
        ),
    )


def takeovers(found: Iterable[AreaFindings]) -> tuple[TakeoverReport, ...]:
    """Returns the takeovers of all areas, in the order of areas."""
    return tuple(
        TakeoverReport(one.area, seen.term, seen.before, seen.after, pause)
        for one in found
        for seen, pause in one.takeovers
    )


def _durable(found: Sequence[AreaFindings]) -> Check:
    reconciled = _reconciliations(found)
    lost = sum(len(each.lost) for _, each in reconciled)
    known = lost or len(reconciled) == len(found)
    return _check(
        "no acknowledged command is lost",
        f"{lost if known else UNKNOWN} of {sum(one.acknowledged for one in found):,} lost",
        [
            *([] if found else ["no area was probed"]),
            *(
                f"{one.area}: the state cannot be compared: {one.unread_reason}"
                for one in found
                if one.reconciliation is None
            ),
            *(f"{one.area}: no command was acknowledged" for one in found if not one.acknowledged),
            *(
                f"{one.area}: no command was acknowledged after the fault was injected"
                for one in found
                if one.acknowledged and one.silent_since_fault
            ),
        ],
        [f"{area}: {_shorten(each.lost)} missing from the state" for area, each in reconciled if each.lost],
    )


def _conserved(found: Sequence[AreaFindings]) -> Check:
    reconciled = _reconciliations(found)
    wrong = sum(len(each.doubled) + len(each.revived) + each.refused.count for _, each in reconciled)
    return _check(
        "nothing is done twice",
        f"{wrong if wrong or len(reconciled) == len(found) else UNKNOWN} wrong",
        [f"{one.area}: the state cannot be compared" for one in found if one.reconciliation is None],
        [
            *(f"{area}: {_shorten(each.doubled)} present more than once" for area, each in reconciled if each.doubled),
            *(
                f"{area}: {_shorten(each.revived)} present after their acknowledged end"
                for area, each in reconciled
                if each.revived
            ),
            *(f"{area}: {sentence}" for area, each in reconciled for sentence in each.refused.sentences),
        ],
    )


def _reconciliations(found: Iterable[AreaFindings]) -> list[tuple[str, Reconciliation]]:
    return [(one.area, one.reconciliation) for one in found if one.reconciliation is not None]


def _digests(found: Sequence[AreaFindings]) -> Check:
    compared = sum(one.digests_compared for one in found)
    wrong = sum(one.unequal_digests.count + one.divergences.count for one in found)
    return _check(
        "replicas agree bit for bit",
        f"{wrong} of {compared:,} digests differ",
        [f"{one.area}: no digests could be compared" for one in found if not one.digests_compared],
        [*_sentences(found, lambda one: one.unequal_digests), *_sentences(found, lambda one: one.divergences)],
    )


def _violation_check(
    name: str,
    found: Sequence[AreaFindings],
    violations_of: Callable[[AreaFindings], Violations],
    evidence: Callable[[AreaFindings], int],
    noun: str,
) -> Check:
    count = sum(violations_of(one).count for one in found)
    figure = f"{count} of {sum(map(evidence, found)):,} {noun}"
    nothing = [f"{one.area}: no {noun}" for one in found if not evidence(one)]
    return _check(name, figure, nothing, list(_sentences(found, violations_of)))


def _sentences(found: Iterable[AreaFindings], violations_of: Callable[[AreaFindings], Violations]) -> Iterator[str]:
    for one in found:
        yield from (f"{one.area}: {sentence}" for sentence in violations_of(one).sentences)


def _check(name: str, figure: str, missing_evidence: Sequence[str], violations: Sequence[str]) -> Check:
    """Returns a check that has held if no evidence is missing and violations were not observed."""
    reasons = (*violations, *missing_evidence)
    return Check(name, held=not reasons, figure=figure, reasons=reasons, violated=bool(violations))


def _shorten(entities: Sequence[int]) -> str:
    listed = ", ".join(str(entity) for entity in entities[:3])
    count = len(entities)
    return f"{count} entit{'y' if count == 1 else 'ies'} ({listed}{', ...' if count > 3 else ''})"
