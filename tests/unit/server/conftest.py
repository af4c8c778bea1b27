from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest_asyncio

from tests.unit.server.fakes import FakeReplica
from tests.unit.server.http_servers import serve_replica


@pytest_asyncio.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest_asyncio.fixture
async def service() -> FakeReplica:
    return FakeReplica()


@pytest_asyncio.fixture
async def url(service: FakeReplica) -> AsyncIterator[str]:
    async with serve_replica(service) as address:
        yield address
