"""What is public is as it was, unless somebody says in a golden file that it may be otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract import golden
from tests.contract.goldens import GOLDENS


@pytest.mark.parametrize("name", GOLDENS)
def test_the_contract_is_as_it_was(name: str, tmp_path: Path) -> None:
    changed = golden.difference(name, GOLDENS[name](tmp_path))
    assert not changed, changed


def test_every_golden_file_is_compared() -> None:
    assert {path.stem for path in golden.FOLDER.glob("*.json")} == set(GOLDENS)
