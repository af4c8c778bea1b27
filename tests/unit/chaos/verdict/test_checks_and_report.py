"""Verdicts: which invariants held, which did not, and how this is reported."""

from __future__ import annotations

import io
import json
from xml.etree import ElementTree as ET

import msgspec
import pytest
from rich.console import Console

from pairsim_chaos.cli.commands import exit_code
from pairsim_chaos.probe.area_evidence import AreaFindings
from pairsim_chaos.probe.ledger import Reconciliation
from pairsim_chaos.probe.observations import ObservedTakeover
from pairsim_chaos.probe.violations import Violations
from pairsim_chaos.verdict.checks import Outcome, Verdict, checks, takeovers
from pairsim_chaos.verdict.report import as_json, as_junit, explanations, in_short, summary, table


def bad(sentence: str = "a violation was seen") -> Violations:
    violations = Violations()
    violations.add(sentence)
    return violations


def reconciliation(**changes: object) -> Reconciliation:
    good = Reconciliation(unknown=0, lost=(), revived=(), doubled=(), refused=Violations())
    return msgspec.structs.replace(good, **changes)


def findings(**changes: object) -> AreaFindings:
    good = AreaFindings(
        area="west", acknowledged=100, silent_since_fault=False,
        reconciliation=reconciliation(), unread_reason="", frames=50, undone_ticks=Violations(),
        double_actives=Violations(), active_reports=9, double_labels=Violations(), label_observations=30,
        digests_compared=20, unequal_digests=Violations(), divergences=Violations(), availability=0.98,
        longest_pause=0.2, takeovers=((ObservedTakeover(1.0, 2, "a", "b"), 0.2),),
    )  # fmt: skip
    return msgspec.structs.replace(good, **changes)


def test_all_invariants_hold_in_a_good_run() -> None:
    found = checks([findings()], "")
    assert all(check.held and not check.reasons for check in found)
    assert len(found) == 7


@pytest.mark.parametrize(
    ("changes", "name", "violated"),
    [
        ({"reconciliation": reconciliation(lost=(7,))}, "no acknowledged command is lost", True),
        ({"acknowledged": 0}, "no acknowledged command is lost", False),
        ({"silent_since_fault": True}, "no acknowledged command is lost", False),
        ({"reconciliation": reconciliation(doubled=(7,))}, "nothing is done twice", True),
        ({"reconciliation": reconciliation(revived=(7,))}, "nothing is done twice", True),
        ({"reconciliation": reconciliation(refused=bad())}, "nothing is done twice", True),
        ({"undone_ticks": bad()}, "no tick is undone or changed", True),
        ({"frames": 0}, "no tick is undone or changed", False),
        ({"double_actives": bad()}, "one active in a term", True),
        ({"active_reports": 0}, "one active in a term", False),
        ({"double_labels": bad()}, "one pod labelled active", True),
        ({"label_observations": 0}, "one pod labelled active", False),
        ({"unequal_digests": bad()}, "replicas agree bit for bit", True),
        ({"divergences": bad()}, "replicas agree bit for bit", True),
        ({"digests_compared": 0}, "replicas agree bit for bit", False),
    ],
)
def test_each_check_fails_alone_for_a_violation_or_missing_evidence(
    changes: dict[str, object], name: str, violated: bool
) -> None:
    found = checks([findings(), findings(area="east", **changes)], "")
    (failed,) = (check for check in found if not check.held)
    assert (failed.name, failed.violated) == (name, violated)
    assert all(reason.startswith("east: ") for reason in failed.reasons)


@pytest.mark.parametrize(
    ("changes", "name", "figure"),
    [
        ({"reconciliation": reconciliation(lost=(7,))}, "no acknowledged command is lost", "1 of 200 lost"),
        ({"reconciliation": reconciliation(doubled=(7,))}, "nothing is done twice", "1 wrong"),
        ({"reconciliation": reconciliation(revived=(7,))}, "nothing is done twice", "1 wrong"),
        ({"reconciliation": reconciliation(refused=bad())}, "nothing is done twice", "1 wrong"),
        ({"unequal_digests": bad()}, "replicas agree bit for bit", "1 of 40 digests differ"),
        ({"divergences": bad()}, "replicas agree bit for bit", "1 of 40 digests differ"),
    ],
)
def test_the_figure_of_a_check_counts_every_kind_of_violation(
    changes: dict[str, object], name: str, figure: str
) -> None:
    found = {check.name: check.figure for check in checks([findings(), findings(area="east", **changes)], "")}
    assert found[name] == figure


@pytest.mark.parametrize(
    ("changes", "lost", "wrong"),
    [
        ({}, "0 of 200 lost", "0 wrong"),
        ({"reconciliation": None}, "- of 200 lost", "- wrong"),
        ({"reconciliation": reconciliation(lost=(7,))}, "1 of 200 lost", "0 wrong"),
    ],
)
def test_the_figure_of_a_state_that_cannot_be_compared_is_unknown(
    changes: dict[str, object], lost: str, wrong: str
) -> None:
    found = {check.name: check.figure for check in checks([findings(), findings(area="east", **changes)], "")}
    assert (found["no acknowledged command is lost"], found["nothing is done twice"]) == (lost, wrong)


def test_the_table_shows_no_loss_where_the_state_cannot_be_compared() -> None:
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(table([Verdict(experiment="gone", made=True, checks=checks([findings(reconciliation=None)], ""))]))
    (line,) = (line for line in console.export_text().splitlines() if "│" in line)
    assert [cell.strip() for cell in line.split("│")[2:5]] == ["NOT HELD", "100", "-"]


def test_the_table_does_not_show_a_recovery_that_never_came() -> None:
    gap = checks([findings()], "west: no replica")
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(table([Verdict(experiment="gone", made=True, checks=gap), VERDICTS[0]]))
    lines = [line for line in console.export_text().splitlines() if "│" in line]
    assert [line.split("│")[-2].strip() for line in lines] == ["never", "-"]


@pytest.mark.parametrize(
    ("verdict", "sentence"),
    [
        (0, "held"),
        (1, "NOT HELD"),
        (2, "not supported here: there is no clock"),
        (3, "NOT HELD"),
        (4, "NO VERDICT: no world answers"),
    ],
)
def test_the_progress_has_the_words_of_the_table(verdict: int, sentence: str) -> None:
    assert in_short(VERDICTS[verdict]) == sentence


def test_an_experiment_without_checks_has_not_held() -> None:
    assert Verdict(experiment="empty", made=True).outcome is Outcome.NO_VERDICT
    assert not Verdict(experiment="empty").held


def test_an_unreadable_state_proves_neither_durability_nor_conservation() -> None:
    found = checks([findings(reconciliation=None, unread_reason="nobody answers")], "")
    failed = {check.name for check in found if not check.held}
    assert failed == {"no acknowledged command is lost", "nothing is done twice"}
    assert not any(check.violated for check in found)


def test_a_world_without_areas_proves_nothing() -> None:
    assert not all(check.held for check in checks([], ""))


def test_a_world_that_is_not_redundant_at_the_end_has_not_held() -> None:
    (failed,) = (check for check in checks([findings()], "west: no replica") if not check.held)
    assert (failed.name, failed.reasons) == ("redundant at the end", ("west: no replica",))


VERDICTS = [
    Verdict(
        experiment="good", made=True, seconds=5.0, checks=checks([findings()], ""), takeovers=takeovers([findings()])
    ),
    Verdict(experiment="bad", made=True, checks=checks([findings(reconciliation=reconciliation(lost=(7, 8)))], "")),
    Verdict(experiment="missing", refused="there is no clock"),
    Verdict(experiment="broken", made=True, failed="no end", checks=checks([findings()], "")),
    Verdict(experiment="lonely", failed="no world answers"),
]


def test_the_table_and_the_sentences_name_failures_and_reasons() -> None:
    assert summary(VERDICTS) == "4 experiments: 2 NOT HELD, 1 NO VERDICT, 1 not supported here"
    assert explanations(VERDICTS) == [
        "bad: NOT HELD: no acknowledged command is lost: west: 2 entities (7, 8) missing from the state",
        "missing: not supported here: there is no clock",
        "broken: NOT HELD: no end",
        "lonely: NO VERDICT: no world answers",
    ]
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(table(VERDICTS))
    lines = [line for line in console.export_text().splitlines() if "│" in line]
    cells = [line.split("│")[2].strip() for line in lines]
    assert cells == ["held", "NOT HELD", "not supported", "NOT HELD", "NO VERDICT"]
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
def test_the_exit_code_and_the_document_show_whether_experiments_ran_and_held(
    verdicts: list[Verdict], code: int, held: bool
) -> None:
    assert exit_code(verdicts) == code
    assert json.loads(as_json(verdicts))["held"] is held


def test_the_json_document_has_the_same_results() -> None:
    document = json.loads(as_json(VERDICTS))
    assert document["held"] is False
    assert [each["held"] for each in document["experiments"]] == [True, False, False, False, False]
    assert document["experiments"][0]["takeovers"] == [
        {"area": "west", "term": 2, "before": "a", "after": "b", "pause": 0.2}
    ]


def test_the_junit_document_has_the_same_results() -> None:
    suites = ET.fromstring(as_junit(VERDICTS))  # noqa: S314 - the document was created by this test
    assert [(suite.get("failures"), suite.get("skipped")) for suite in suites] == [
        ("0", "0"), ("1", "0"), ("0", "1"), ("1", "0"), ("1", "0"),
    ]  # fmt: skip
    assert "2 entities" in str(suites[1].findtext(".//failure"))
