"""Waiting with a deadline, and real servers on real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from pairsim.network.api import SimulatorApi
from pairsim.network.serve import listening
from tests.unit.network.fakes import TOKEN, FakePort

T = TypeVar("T")

DEADLINE = 10.0


async def until(condition: Callable[[], bool]) -> None:
    """Waits for a condition; fails when it does not come true."""
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0.001)


async def soon(awaitable: Awaitable[T]) -> T:
    """Waits for an outcome; fails when it does not come."""
    async with asyncio.timeout(DEADLINE):
        return await awaitable


@asynccontextmanager
async def served(port: FakePort, *, limit: int = 50_000) -> AsyncIterator[str]:
    """A replica's API; yields its URL."""
    api = SimulatorApi(port, name=port.name, token=TOKEN, limit=limit)
    async with listening(api.app(), "127.0.0.1:0") as number:
        yield f"http://127.0.0.1:{number}"
