"""A session's client side, and the notices that cross threads."""

from __future__ import annotations

import asyncio
import threading

import aiohttp
import pytest
from aiohttp import web

from pairsim.client.session_connection import Link, LinkLostError
from pairsim.protocol.frames import MAX_BODY
from pairsim.replication.service import Published
from pairsim.server.http import websockets
from pairsim.server.http.listener import listening
from pairsim.server.http.notifications import Hub, Signal
from tests.unit.server.fakes import FakePort, commands
from tests.unit.server.helpers import served, soon, until


async def test_giving_up_one_request_leaves_the_others_alone(http: aiohttp.ClientSession) -> None:
    """The server does not read, as a stopped process would not, and the requests wait for it to."""
    done = asyncio.Event()

    async def never_reads(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(max_msg_size=MAX_BODY)
        await socket.prepare(request)
        await done.wait()
        return socket

    app = web.Application()
    app.router.add_get("/v1/session", never_reads)
    async with listening(app, "127.0.0.1:0") as number:
        link = await soon(Link.open(http, f"http://127.0.0.1:{number}"))
        large = commands(10_000, "x" * 50)
        requests = [asyncio.ensure_future(link.request(large)) for _ in range(16)]
        await until(lambda: len(link._sending) > 1 and len(link._waiting) == 16)
        given_up, *others = requests
        given_up.cancel()
        await asyncio.wait([given_up])
        for _ in range(10):
            await asyncio.sleep(0)
        assert not any(request.done() for request in others)
        link.drop()
        for request in others:
            with pytest.raises(LinkLostError):
                await soon(request)
        await soon(link.close())
        done.set()


async def test_a_session_that_the_server_ends_fails_what_is_under_way(http: aiohttp.ClientSession) -> None:
    port = FakePort(auto=False)
    async with served(port, hold=0.01) as url:
        link = await soon(Link.open(http, url))
        request = asyncio.ensure_future(link.request(commands(1)))
        await until(lambda: len(port.submitted) == 1)
        await link._socket.send_str("no session takes text")
        with pytest.raises(LinkLostError):
            await soon(request)
        assert link.lost
        with pytest.raises(LinkLostError):
            await soon(link.request(commands(1)))
        await soon(link.close())


async def test_a_session_that_does_not_read_its_answers_is_ended(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never_read(_link: Link) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(websockets.send, "__defaults__", (0.05,))
    monkeypatch.setattr(Link, "_read", never_read)
    async with served(FakePort()) as url:
        link = await soon(Link.open(http, url))
        requests = [asyncio.ensure_future(link.request(commands(10_000, f"{i}-"))) for i in range(30)]
        async with asyncio.timeout(10):
            while True:
                async with http.get(f"{url}/metrics") as answer:
                    if 'pairsim_sessions{area="north"} 0.0' in (await answer.text()).splitlines():
                        break
        link.drop()
        await asyncio.wait(requests)
        for request in requests:
            request.exception()
        await soon(link.close())


async def test_a_hub_tells_ticks_and_changes_from_other_threads() -> None:
    hub = Hub()
    listen = hub.listener()
    for notice, ticks, changes in (
        (Published(1, 5), 1, 1),
        (Published(1, 6), 2, 1),
        (None, 2, 2),
        (Published(2, 7), 3, 3),
    ):
        threading.Thread(target=listen, args=(notice,)).start()
        await until(lambda t=ticks, c=changes: (hub.ticks.count, hub.changes.count) == (t, c))  # type: ignore[misc]
    assert hub.tick == 7


async def test_a_signal_cannot_be_missed() -> None:
    signal = Signal()
    seen = signal.count
    signal.notify()
    assert await soon(signal.after(seen, 1000)) == seen + 1
    assert await soon(signal.after(seen + 1, 0.001)) == seen + 1
    waiting = asyncio.ensure_future(signal.after(seen + 1, 1000))
    await asyncio.sleep(0)
    signal.notify()
    assert await soon(waiting) == seen + 2
    assert signal._waiters == []
