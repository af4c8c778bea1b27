"""What all process tests start from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from tests.harness import Trio
from tests.process.trios import Shared

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share processes share the event loop of their clients."""
    for item in items:
        if item.path.is_relative_to(_HERE) and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shared]:
    """The pair of most tests, with one spare."""
    shared = Shared(partial(tmp_path_factory.mktemp, "pair"), spares=1)
    yield shared
    await shared.close()


@pytest_asyncio.fixture(loop_scope="session")
async def trio(shared: Shared) -> AsyncIterator[Trio]:
    """A redundant pair with its witness and a spare."""
    async with shared.lent() as trio:
        yield trio
