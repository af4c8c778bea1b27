"""Every rule: one file or more that breaks it, with what the linter says as its first lines."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pairsim_chaos.lint.lint import RULES, lint
from pairsim_chaos.lint.structure import KIND, STRUCTURE
from tests.unit.chaos.lines import told

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
BROKEN = sorted((HERE / "broken").glob("*.yaml"))
BESIDE = {
    STRUCTURE: "the schemas of Chaos Mesh's CRDs, with unknown fields refused",
    KIND: "a document is of a kind of `chaos-mesh.org/v1alpha1` that is known here",
    "twice": "no field is written twice",
}
"""Findings that are no single rule's."""


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_a_broken_file_is_told_exactly(path: Path) -> None:
    text = path.read_text()
    expected = [line.removeprefix("# ") for line in text.splitlines() if line.startswith("# ")]
    assert expected
    assert told(text) == expected


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_a_broken_file_breaks_one_rule(path: Path) -> None:
    assert {finding.rule for finding in lint(path.read_text())} == {path.stem.partition(".")[0]}


def test_every_rule_has_a_file_that_breaks_it() -> None:
    names = [rule.name for rule in RULES]
    assert len(names) == len(set(names))
    assert {path.stem.partition(".")[0] for path in BROKEN} == {*names, *BESIDE}


def test_the_documentation_has_every_rule() -> None:
    text = (ROOT / "docs" / "chaos.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| ([^|]+) \|$", text, re.MULTILINE))
    assert rows == {**BESIDE, **{rule.name: rule.says for rule in RULES}}


def test_findings_are_bounded_and_the_rest_is_told() -> None:
    head = "apiVersion: chaos-mesh.org/v1alpha1\nkind: PodChaos\nmetadata: {name: a}\nspec:\n"
    findings = lint(head + "".join(f"  field{number}: 1\n" for number in range(2000)))
    assert len(findings) == 1001
    assert findings[-1].wrong == "there are more findings than these"
