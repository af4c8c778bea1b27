"""Counts and durations read as a person would write them."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator

import pytest

from pairsim.wording import counted, duration
from tests.unit.project.sources import ROOT, modules


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 areas"), (1, "1 area"), (2, "2 areas"), (1000, "1000 areas"), (-1, "-1 areas")]
)
def test_a_count_has_its_noun(count: int, text: str) -> None:
    assert counted(count, "area") == text


def test_a_noun_may_have_a_plural_of_its_own() -> None:
    assert (counted(1, "copy", "copies"), counted(2, "copy", "copies")) == ("1 copy", "2 copies")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (9.99997, "10 s"),
        (10, "10 s"),
        (0.5, "0.5 s"),
        (2.0004, "2 s"),
        (1.2345, "1.23 s"),
        (0.05251, "0.0525 s"),
        (99.96, "100 s"),
        (123.456, "123 s"),
        (86_400.4, "86400 s"),
        (10_000_000.2, "10000000 s"),
        (0.0, "0 s"),
        (-0.25, "-0.25 s"),
        (float("inf"), "inf s"),
    ],
)
def test_a_duration_has_three_significant_digits(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def slips(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from (each for each in re.findall(r"\w+\(e?s\)", node.value) if each != "http(s)")
        if isinstance(node, ast.JoinedStr):
            for part, after in itertools.pairwise(node.values):
                shown = ast.unparse(part)
                if shown.endswith(":g}") and isinstance(after, ast.Constant) and re.match(r" s\b", str(after.value)):
                    yield shown


def test_texts_use_these_functions() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {slip}"
        for path in modules("pairsim", "controller", "chaos", "grafana")
        if path.name != "wording.py"
        for slip in slips(ast.parse(path.read_text()))
    }
    assert not found, "use pairsim.wording"
