"""Every rule has at least one file that breaks it; the first lines of the file are the expected findings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pairsim_chaos.lint.lint import RULES, lint
from pairsim_chaos.lint.structure import KIND, SCHEMA
from tests.unit.chaos.lint.printed_findings import printed

HERE = Path(__file__).parent
ROOT = HERE.parents[3]
BROKEN = sorted((HERE / "broken").glob("*.yaml"))
WITHOUT_RULE = {
    SCHEMA: "a document must match the schema of its kind; unknown fields are rejected",
    KIND: "a document must have a kind of `chaos-mesh.org/v1alpha1` that the linter knows",
    "twice": "a field must not be written twice",
}
"""The names of findings that do not come from a `Rule`, with their requirements."""


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_a_broken_file_has_exactly_the_findings_in_its_header(path: Path) -> None:
    text = path.read_text()
    expected = [line.removeprefix("# ") for line in text.splitlines() if line.startswith("# ")]
    assert expected
    assert printed(text) == expected


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_a_broken_file_breaks_one_rule_only(path: Path) -> None:
    assert {finding.rule for finding in lint(path.read_text())} == {path.stem.partition(".")[0]}


def test_every_rule_has_a_file_that_breaks_it() -> None:
    names = [rule.name for rule in RULES]
    assert len(names) == len(set(names))
    assert {path.stem.partition(".")[0] for path in BROKEN} == {*names, *WITHOUT_RULE}


def test_the_documentation_lists_every_rule() -> None:
    text = (ROOT / "docs" / "chaos.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| ([^|]+) \|$", text, re.MULTILINE))
    assert rows == {**WITHOUT_RULE, **{rule.name: rule.says for rule in RULES}}


def test_the_number_of_findings_is_bounded_and_the_cut_is_reported() -> None:
    head = "apiVersion: chaos-mesh.org/v1alpha1\nkind: PodChaos\nmetadata: {name: a}\nspec:\n"
    findings = lint(head + "".join(f"  field{number}: 1\n" for number in range(2000)))
    assert len(findings) == 1001
    assert findings[-1].wrong == "there are more findings than these"
