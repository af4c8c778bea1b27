"""Every planted fault still fits the product, and its test exists; `make planted` shows that the test finds it."""

from __future__ import annotations

import ast
import functools
from collections import Counter

from tests.planted.faults import ROOT, read_faults

FAULTS = read_faults()
HINT = "plant the same faults in the new code (tests/planted), or remove those that the code cannot have any more"


@functools.cache
def content_of(file: str) -> str:
    path = ROOT / file
    return path.read_text() if path.exists() else ""


@functools.cache
def names_of(file: str) -> frozenset[str]:
    """Returns the names of the functions of a module."""
    body = ast.parse(content_of(file)).body
    return frozenset(node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_each_planted_fault_fits_the_product() -> None:
    counts = {f"{name} ({fault.file})": content_of(fault.file).count(fault.code) for name, fault in FAULTS.items()}
    wrong = {name: count for name, count in counts.items() if count != 1}
    assert not wrong, f"{HINT}. So often, not once, the files have the code of these faults: {wrong}"
    assert all(fault.code != fault.planted for fault in FAULTS.values())


def test_the_test_of_each_planted_fault_exists() -> None:
    parts = {name: fault.test.partition("::")[::2] for name, fault in FAULTS.items()}
    slow = [name for name, (file, _test) in parts.items() if not file.startswith("tests/unit/")]
    assert not slow, f"a planted fault is found by a quick unit test: {slow}"
    missing = [name for name, (file, test) in parts.items() if test.partition("[")[0] not in names_of(file)]
    assert not missing, f"the tests of these planted faults do not exist: {missing}"


def test_no_fault_is_planted_twice() -> None:
    counted = Counter((fault.file, fault.code, fault.planted) for fault in FAULTS.values())
    assert max(counted.values()) == 1
    assert all(fault.breaks.endswith(".") for fault in FAULTS.values()), "`breaks` is a sentence"
