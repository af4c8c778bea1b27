"""Waiting with a deadline, and real servers on real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from pairsim.server.app import SimulatorApi
from pairsim.server.commands.gateway import HOLD_SECONDS
from pairsim.server.http.listener import serve_app
from tests.unit.server.fakes import TOKEN, FakeReplica

T = TypeVar("T")

DEADLINE = 10.0


async def until(condition: Callable[[], bool]) -> None:
    """Waits for a condition; fails when it does not come true."""
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0.001)


async def soon(awaitable: Awaitable[T]) -> T:
    """Waits for a result and returns it; fails when it does not come."""
    async with asyncio.timeout(DEADLINE):
        return await awaitable


def api_of(service: FakeReplica, *, limit: int = 50_000, hold: float = HOLD_SECONDS) -> SimulatorApi:
    """Returns a replica's API; make it in the loop that serves it."""
    return SimulatorApi(service, name=service.name, token=TOKEN, limit=limit, hold=hold)


@asynccontextmanager
async def serve_replica(service: FakeReplica, *, limit: int = 50_000, hold: float = HOLD_SECONDS) -> AsyncIterator[str]:
    """Serves a replica and yields its URL."""
    async with serve_app(api_of(service, limit=limit, hold=hold).app(), "127.0.0.1:0") as number:
        yield f"http://127.0.0.1:{number}"
