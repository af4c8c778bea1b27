"""Judges what a probe found; pure.

A check that had nothing to look at has not held: a probe that acknowledged no command, saw no tick or compared no
digest proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from pairsim_chaos.probe.area import Findings
from pairsim_chaos.probe.ledger import Account
from pairsim_chaos.probe.violations import Violations


class Check(msgspec.Struct, frozen=True):
    """One invariant in one experiment.

    Attributes:
        name: What must hold.
        held: Whether it did.
        figure: What was counted.
        reasons: Sentences; why it did not hold, area by area.
        violated: Whether something was seen that must not be; else it has not held for want of evidence.
    """

    name: str
    held: bool
    figure: str
    reasons: tuple[str, ...] = ()
    violated: bool = False


class TakeoverSeen(msgspec.Struct, frozen=True):
    """A takeover; `pause` is seconds without an acknowledgement around it."""

    area: str
    term: int
    before: str
    after: str
    pause: float


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Of one experiment.

    Attributes:
        experiment: Its name.
        file: Where it stands.
        refused: Why it was not made; empty if it was.
        made: Whether it came so far that there is something to judge.
        failed: Why it could not be made as it is written, or not be taken back; empty if it could.
        targets: The processes that it was made to.
        seconds: How long it was probed.
        checks: All of what must hold; none if it was refused.
        availability: The worst of all areas, 0 to 1.
        longest: Seconds without an acknowledgement, the longest of all areas.
        redundant_after: Seconds from the first loss of redundancy to when all areas were redundant for good.
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
    takeovers: tuple[TakeoverSeen, ...] = ()

    @property
    def held(self) -> bool:
        """Whether everything held, of what was made."""
        return not self.failed and all(check.held for check in self.checks)


def checks(found: Sequence[Findings], not_redundant: str) -> tuple[Check, ...]:
    """What held of what must hold.

    Args:
        found: Of every area.
        not_redundant: Why the world is not whole at the end; empty if it is.
    """
    return (
        _durable(found),
        _conserved(found),
        _violations("no tick is undone or changed", found, lambda one: one.undone, lambda one: one.ticks, "ticks seen"),
        _violations("one active in a term", found, lambda one: one.actives, lambda one: one.statuses, "statuses"),
        _violations("one pod labelled active", found, lambda one: one.labels, lambda one: one.labelled, "looks"),
        _digests(found),
        Check(
            "redundant at the end",
            held=not not_redundant,
            figure="no" if not_redundant else "yes",
            reasons=(not_redundant,) if not_redundant else (),
        ),
    )


def takeovers(found: Iterable[Findings]) -> tuple[TakeoverSeen, ...]:
    """Of all areas, in their order."""
    return tuple(
        TakeoverSeen(one.area, seen.term, seen.before, seen.after, pause)
        for one in found
        for seen, pause in one.takeovers
    )


def _durable(found: Sequence[Findings]) -> Check:
    accounts = _accounts(found)
    lost = sum(len(each.lost) for _, each in accounts)
    acknowledged = sum(each.acknowledged for _, each in accounts)
    return _check(
        "no acknowledged command is lost",
        f"{lost} of {acknowledged:,} lost",
        [
            *([] if found else ["no area was probed"]),
            *(f"{one.area}: the state cannot be compared: {one.unread}" for one in found if one.account is None),
            *(f"{area}: no command was acknowledged" for area, each in accounts if not each.acknowledged),
        ],
        [f"{area}: {_some(each.lost)} not there" for area, each in accounts if each.lost],
    )


def _conserved(found: Sequence[Findings]) -> Check:
    accounts = _accounts(found)
    wrong = sum(len(each.doubled) + len(each.revived) + each.refused.count for _, each in accounts)
    return _check(
        "nothing is done twice",
        f"{wrong} wrong",
        [f"{one.area}: the state cannot be compared" for one in found if one.account is None],
        [
            *(f"{area}: {_some(each.doubled)} there more than once" for area, each in accounts if each.doubled),
            *(f"{area}: {_some(each.revived)} there after the end" for area, each in accounts if each.revived),
            *(f"{area}: {sentence}" for area, each in accounts for sentence in each.refused.sentences),
        ],
    )


def _accounts(found: Iterable[Findings]) -> list[tuple[str, Account]]:
    return [(one.area, one.account) for one in found if one.account is not None]


def _digests(found: Sequence[Findings]) -> Check:
    compared = sum(one.digests for one in found)
    wrong = sum(one.unequal.count + one.divergences.count for one in found)
    return _check(
        "replicas agree bit for bit",
        f"{wrong} of {compared:,} digests differ",
        [f"{one.area}: no digests could be compared" for one in found if not one.digests],
        [*_sentences(found, lambda one: one.unequal), *_sentences(found, lambda one: one.divergences)],
    )


def _violations(
    name: str,
    found: Sequence[Findings],
    of: Callable[[Findings], Violations],
    evidence: Callable[[Findings], int],
    what: str,
) -> Check:
    count = sum(of(one).count for one in found)
    figure = f"{count} of {sum(map(evidence, found)):,} {what}"
    nothing = [f"{one.area}: no {what}" for one in found if not evidence(one)]
    return _check(name, figure, nothing, list(_sentences(found, of)))


def _sentences(found: Iterable[Findings], of: Callable[[Findings], Violations]) -> Iterator[str]:
    for one in found:
        yield from (f"{one.area}: {sentence}" for sentence in of(one).sentences)


def _check(name: str, figure: str, wanting: Sequence[str], violations: Sequence[str]) -> Check:
    """It has held if no evidence is wanting, and none shows a violation."""
    reasons = (*violations, *wanting)
    return Check(name, held=not reasons, figure=figure, reasons=reasons, violated=bool(violations))


def _some(entities: Sequence[int]) -> str:
    shown = ", ".join(str(entity) for entity in entities[:3])
    count = len(entities)
    return f"{count} entit{'y' if count == 1 else 'ies'} ({shown}{', ...' if count > 3 else ''})"
