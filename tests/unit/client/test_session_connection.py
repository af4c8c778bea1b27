"""A session's client side: batches under way fail at once when it breaks."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from aiohttp import web

from pairsim.client.session_connection import SessionConnection, SessionLostError
from pairsim.protocol.frames import MAX_BODY
from pairsim.server.http import websockets
from pairsim.server.http.listener import serve_app
from tests.unit.server.fakes import FakeReplica, commands
from tests.unit.server.http_servers import serve_replica, soon, until


async def test_giving_up_one_request_leaves_the_others_alone(http: aiohttp.ClientSession) -> None:
    """The requests wait for a server that does not read, like a stopped process."""
    done = asyncio.Event()

    async def never_reads(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(max_msg_size=MAX_BODY)
        await socket.prepare(request)
        await done.wait()
        return socket

    app = web.Application()
    app.router.add_get("/v1/session", never_reads)
    async with serve_app(app, "127.0.0.1:0") as number:
        connection = await soon(SessionConnection.open(http, f"http://127.0.0.1:{number}"))
        large = commands(10_000, "x" * 50)
        requests = [asyncio.ensure_future(connection.request(large)) for _ in range(16)]
        await until(lambda: len(connection._sending) > 1 and len(connection._waiting) == 16)
        given_up, *others = requests
        given_up.cancel()
        await asyncio.wait([given_up])
        for _ in range(10):
            await asyncio.sleep(0)
        assert not any(request.done() for request in others)
        connection.drop()
        for request in others:
            with pytest.raises(SessionLostError):
                await soon(request)
        await soon(connection.close())
        done.set()


async def test_a_session_that_the_server_ends_fails_batches_under_way(http: aiohttp.ClientSession) -> None:
    service = FakeReplica(auto=False)
    async with serve_replica(service, hold=0.01) as url:
        connection = await soon(SessionConnection.open(http, url))
        request = asyncio.ensure_future(connection.request(commands(1)))
        await until(lambda: len(service.submitted) == 1)
        await connection._socket.send_str("no session takes text")
        with pytest.raises(SessionLostError):
            await soon(request)
        assert connection.lost
        with pytest.raises(SessionLostError):
            await soon(connection.request(commands(1)))
        await soon(connection.close())


async def test_a_session_that_does_not_read_its_answers_is_ended(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never_read(_link: SessionConnection) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(websockets.send, "__defaults__", (0.05,))
    monkeypatch.setattr(SessionConnection, "_read", never_read)
    async with serve_replica(FakeReplica()) as url:
        connection = await soon(SessionConnection.open(http, url))
        requests = [asyncio.ensure_future(connection.request(commands(10_000, f"{i}-"))) for i in range(30)]
        async with asyncio.timeout(10):
            while True:
                async with http.get(f"{url}/metrics") as answer:
                    if 'pairsim_sessions{area="north"} 0.0' in (await answer.text()).splitlines():
                        break
        connection.drop()
        await asyncio.wait(requests)
        for request in requests:
            request.exception()
        await soon(connection.close())
