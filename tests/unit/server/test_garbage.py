"""A connection that ends leaves nothing for the garbage collector, which a server rarely runs."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import aiohttp
import pytest
from aiohttp import web

from pairsim.server.http.listener import serve_app
from tests.harness import free_ports
from tests.unit.server.fakes import FakeReplica
from tests.unit.server.http_servers import api_of, until

_CONNECTIONS = 5


@pytest.fixture
def no_collections() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def connections() -> int:
    return sum(isinstance(found, web.RequestHandler) for found in gc.get_objects())


async def test_a_websocket_that_breaks_the_protocol_leaves_no_garbage(no_collections: None) -> None:
    """A socket with a heartbeat is a cycle of aiohttp's own, so this one has none."""
    address = f"127.0.0.1:{free_ports(1)[0]}"
    before = connections()
    async with serve_app(api_of(FakeReplica()).app(), address), aiohttp.ClientSession() as client:
        for _ in range(_CONNECTIONS):
            async with client.ws_connect(f"http://{address}/v1/session") as socket:
                await socket.send_bytes(b"x" * 2_000_000)
                async for _message in socket:
                    pass
        await until(lambda: connections() == before)
