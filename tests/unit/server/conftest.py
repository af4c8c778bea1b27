from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest_asyncio

from tests.unit.server.fakes import FakePort
from tests.unit.server.helpers import served


@pytest_asyncio.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest_asyncio.fixture
async def port() -> FakePort:
    return FakePort()


@pytest_asyncio.fixture
async def url(port: FakePort) -> AsyncIterator[str]:
    async with served(port) as address:
        yield address
