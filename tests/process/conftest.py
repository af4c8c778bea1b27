"""Fixtures that all process tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from tests.harness import RunningPair
from tests.process.shared_pairs import SharedPair

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Runs all tests in one event loop, since they share the clients of shared processes."""
    for item in items:
        if item.path.is_relative_to(_HERE) and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SharedPair]:
    """The pair that most tests use, with one spare."""
    shared_pair = SharedPair(partial(tmp_path_factory.mktemp, "pair"), spares=1)
    yield shared_pair
    await shared_pair.close()


@pytest_asyncio.fixture(loop_scope="session")
async def pair(shared_pair: SharedPair) -> AsyncIterator[RunningPair]:
    """A redundant pair with its witness and a spare."""
    async with shared_pair.borrow() as pair:
        yield pair
