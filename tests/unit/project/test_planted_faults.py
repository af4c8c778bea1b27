"""Every planted fault still fits the product, and its test exists; `make planted` shows that the test finds it."""

from __future__ import annotations

import ast
import functools
from collections import Counter

import pytest

from tests.planted.faults import ROOT, PlantedFault, read_faults

FAULTS = read_faults()
HINT = "plant the same fault in the new code of tests/planted, or remove it if the code cannot have it any more"


@functools.cache
def names_of(file: str) -> frozenset[str]:
    path = ROOT / file
    tree = ast.parse(path.read_text()) if path.exists() else ast.Module([], [])
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_planted_fault_fits_the_product(fault: PlantedFault) -> None:
    assert (ROOT / fault.file).exists(), f"{fault.file} does not exist: {HINT}"
    assert (ROOT / fault.file).read_text().count(fault.code) == 1, f"not exactly once in {fault.file}: {HINT}"
    assert fault.code != fault.planted
    ast.parse(fault.source())


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_the_test_of_a_planted_fault_exists(fault: PlantedFault) -> None:
    file, _, name = fault.test.partition("::")
    assert file.startswith("tests/unit/"), "a planted fault is found by a quick unit test"
    assert name.partition("[")[0] in names_of(file), f"{fault.test} does not exist"


def test_no_fault_is_planted_twice() -> None:
    counted = Counter((fault.file, fault.code, fault.planted) for fault in FAULTS.values())
    assert max(counted.values()) == 1
    assert all(fault.breaks.endswith(".") for fault in FAULTS.values()), "`breaks` is a sentence"
