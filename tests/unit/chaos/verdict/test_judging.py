"""Verdicts: what held, what did not, and how it is told."""

from __future__ import annotations

import io
import json
from xml.etree import ElementTree as ET

import msgspec
import pytest
from rich.console import Console

from pairsim_chaos.cli.commands import exit_code
from pairsim_chaos.probe.area import Findings
from pairsim_chaos.probe.ledger import Account
from pairsim_chaos.probe.observations import Takeover
from pairsim_chaos.probe.violations import Violations
from pairsim_chaos.verdict.checks import Verdict, checks, takeovers
from pairsim_chaos.verdict.report import as_json, as_junit, explanations, summary, table


def bad(sentence: str = "something was seen") -> Violations:
    violations = Violations()
    violations.add(sentence)
    return violations


def account(**changes: object) -> Account:
    good = Account(acknowledged=100, unknown=0, lost=(), revived=(), doubled=(), refused=Violations())
    return msgspec.structs.replace(good, **changes)


def findings(**changes: object) -> Findings:
    good = Findings(
        area="west", account=account(), unread="", ticks=50, undone=Violations(), actives=Violations(),
        statuses=9, labels=Violations(), labelled=30, digests=20, unequal=Violations(),
        divergences=Violations(), availability=0.98, longest=0.2, takeovers=((Takeover(1.0, 2, "a", "b"), 0.2),),
    )  # fmt: skip
    return msgspec.structs.replace(good, **changes)


def test_a_good_run_holds_everything() -> None:
    found = checks([findings()], "")
    assert all(check.held and not check.reasons for check in found)
    assert len(found) == 7


@pytest.mark.parametrize(
    ("changes", "name", "violated"),
    [
        ({"account": account(lost=(7,))}, "no acknowledged command is lost", True),
        ({"account": account(acknowledged=0)}, "no acknowledged command is lost", False),
        ({"account": account(doubled=(7,))}, "nothing is done twice", True),
        ({"account": account(revived=(7,))}, "nothing is done twice", True),
        ({"account": account(refused=bad())}, "nothing is done twice", True),
        ({"undone": bad()}, "no tick is undone or changed", True),
        ({"ticks": 0}, "no tick is undone or changed", False),
        ({"actives": bad()}, "one active in a term", True),
        ({"statuses": 0}, "one active in a term", False),
        ({"labels": bad()}, "one pod labelled active", True),
        ({"labelled": 0}, "one pod labelled active", False),
        ({"unequal": bad()}, "replicas agree bit for bit", True),
        ({"divergences": bad()}, "replicas agree bit for bit", True),
        ({"digests": 0}, "replicas agree bit for bit", False),
    ],
)
def test_each_check_fails_alone_for_a_violation_or_for_want_of_evidence(
    changes: dict[str, object], name: str, violated: bool
) -> None:
    found = checks([findings(), findings(area="east", **changes)], "")
    (failed,) = (check for check in found if not check.held)
    assert (failed.name, failed.violated) == (name, violated)
    assert all(reason.startswith("east: ") for reason in failed.reasons)


@pytest.mark.parametrize(
    ("changes", "name", "figure"),
    [
        ({"account": account(lost=(7,))}, "no acknowledged command is lost", "1 of 200 lost"),
        ({"account": account(doubled=(7,))}, "nothing is done twice", "1 wrong"),
        ({"account": account(revived=(7,))}, "nothing is done twice", "1 wrong"),
        ({"account": account(refused=bad())}, "nothing is done twice", "1 wrong"),
        ({"unequal": bad()}, "replicas agree bit for bit", "1 of 40 digests differ"),
        ({"divergences": bad()}, "replicas agree bit for bit", "1 of 40 digests differ"),
    ],
)
def test_the_figure_of_a_check_counts_every_kind_of_violation(
    changes: dict[str, object], name: str, figure: str
) -> None:
    found = {check.name: check.figure for check in checks([findings(), findings(area="east", **changes)], "")}
    assert found[name] == figure


def test_a_state_that_cannot_be_read_shows_neither_loss_nor_doubling() -> None:
    found = checks([findings(account=None, unread="nobody answers")], "")
    failed = {check.name for check in found if not check.held}
    assert failed == {"no acknowledged command is lost", "nothing is done twice"}
    assert not any(check.violated for check in found)


def test_a_world_without_areas_has_shown_nothing() -> None:
    assert not all(check.held for check in checks([], ""))


def test_a_world_that_is_not_whole_at_the_end_has_not_held() -> None:
    (failed,) = (check for check in checks([findings()], "west: no replica") if not check.held)
    assert (failed.name, failed.reasons) == ("redundant at the end", ("west: no replica",))


VERDICTS = [
    Verdict(
        experiment="good", made=True, seconds=5.0, checks=checks([findings()], ""), takeovers=takeovers([findings()])
    ),
    Verdict(experiment="bad", made=True, checks=checks([findings(account=account(lost=(7, 8)))], "")),
    Verdict(experiment="missing", refused="there is no clock"),
    Verdict(experiment="broken", made=True, failed="no end", checks=checks([findings()], "")),
    Verdict(experiment="lonely", failed="no world answers"),
]


def test_people_are_told_what_did_not_hold_and_why() -> None:
    assert summary(VERDICTS) == "4 experiments: 2 NOT HELD, 1 WITHOUT A VERDICT, 1 not made here"
    assert explanations(VERDICTS) == [
        "bad: NOT HELD: no acknowledged command is lost: west: 2 entities (7, 8) not there",
        "missing: not made here: there is no clock",
        "broken: FAILED: no end",
        "lonely: FAILED: no world answers",
    ]
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(table(VERDICTS))
    lines = [line for line in console.export_text().splitlines() if "│" in line]
    told = [line.split("│")[2].strip() for line in lines]
    assert told == ["held", "NOT HELD", "not made here", "NOT HELD", "NO VERDICT"]
    assert [cell.strip() for cell in lines[1].split("│")[3:5]] == ["100", "2"]


@pytest.mark.parametrize(
    ("verdicts", "code", "held"),
    [
        (VERDICTS[:1], 0, True),
        ([VERDICTS[0], VERDICTS[2]], 0, True),
        (VERDICTS[:2], 1, False),
        ([VERDICTS[0], VERDICTS[4]], 1, False),
        ([VERDICTS[2]], 2, False),
        ([VERDICTS[4]], 2, False),
        ([], 2, False),
    ],
)
def test_the_exit_code_and_the_document_say_whether_something_was_made_and_held(
    verdicts: list[Verdict], code: int, held: bool
) -> None:
    assert exit_code(verdicts) == code
    assert json.loads(as_json(verdicts))["held"] is held


def test_programs_are_told_the_same() -> None:
    document = json.loads(as_json(VERDICTS))
    assert document["held"] is False
    assert [each["held"] for each in document["experiments"]] == [True, False, True, False, False]
    assert document["experiments"][0]["takeovers"] == [
        {"area": "west", "term": 2, "before": "a", "after": "b", "pause": 0.2}
    ]


def test_ci_is_told_the_same() -> None:
    suites = ET.fromstring(as_junit(VERDICTS))  # noqa: S314 - it was made here
    assert [(suite.get("failures"), suite.get("skipped")) for suite in suites] == [
        ("0", "0"), ("1", "0"), ("0", "1"), ("1", "0"), ("1", "0"),
    ]  # fmt: skip
    assert "2 entities" in str(suites[1].findtext(".//failure"))
