"""What all process tests start from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness import Trio
from tests.process.trios import shown, wide


@pytest.fixture
async def trio(tmp_path: Path) -> AsyncIterator[Trio]:
    """A redundant pair with its witness; a failed test shows the last lines of their logs."""
    async with shown(Trio(tmp_path, wide())) as trio:
        yield trio


@pytest.fixture
async def trio_and_spare(tmp_path: Path) -> AsyncIterator[Trio]:
    """The same with the spare `s1`."""
    async with shown(Trio(tmp_path, wide(), spares=1)) as trio:
        yield trio
