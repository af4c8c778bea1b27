"""The parts of `pairsim.server.http` serve an application that has nothing to do with a simulator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import msgspec
import pytest
import pytest_asyncio
from aiohttp import web

from pairsim.server.http.errors import HttpError, answer_errors
from pairsim.server.http.listener import serve_app
from pairsim.server.http.requests import read_json
from pairsim.server.http.websockets import WebSockets, run_pusher, send
from tests.unit.server.http_servers import soon


class Order(msgspec.Struct):
    """A body that the application takes."""

    name: str


class PlainApi:
    """An application with one path of each kind."""

    def __init__(self) -> None:
        self.sockets = WebSockets("viewers", 1, retry_after=5)
        self.ended = asyncio.Event()

    def app(self) -> web.Application:
        sentences = {404: "{method} {path}: this page does not exist"}
        app = web.Application(middlewares=[answer_errors(sentences=sentences)], client_max_size=100)
        app.router.add_get("/feed", self._feed)
        app.router.add_post("/orders", self._order)
        app.router.add_get("/broken", self._broken)
        app.on_shutdown.append(self._on_shutdown)
        return app

    async def _feed(self, request: web.Request) -> web.StreamResponse:
        return await self.sockets.serve(request, self._view, max_frame=100, heartbeat=10.0)

    async def _view(self, socket: web.WebSocketResponse) -> None:
        try:
            await run_pusher(socket, self._push(socket))
        finally:
            self.ended.set()

    async def _push(self, socket: web.WebSocketResponse) -> None:
        await send(socket, "text")
        await send(socket, b"bytes")
        await asyncio.Event().wait()

    async def _order(self, request: web.Request) -> web.Response:
        order = await read_json(request, Order)
        if order.name == "late":
            raise HttpError(503, "try again later", retry_after=7)
        return web.Response(text=order.name)

    async def _broken(self, _request: web.Request) -> web.Response:
        raise RuntimeError("a secret")

    async def _on_shutdown(self, _app: web.Application) -> None:
        await self.sockets.close()


@pytest_asyncio.fixture
async def api() -> PlainApi:
    return PlainApi()


@pytest_asyncio.fixture
async def url(api: PlainApi) -> AsyncIterator[str]:
    async with serve_app(api.app(), "127.0.0.1:0", drain=0.1) as number:
        yield f"http://127.0.0.1:{number}"


async def test_frames_are_pushed_until_the_viewer_disconnects(
    http: aiohttp.ClientSession, api: PlainApi, url: str
) -> None:
    async with http.ws_connect(f"{url}/feed") as socket:
        assert await soon(socket.receive_str()) == "text"
        assert await soon(socket.receive_bytes()) == b"bytes"
    await soon(api.ended.wait())


async def test_a_viewer_over_the_limit_may_try_again_later(http: aiohttp.ClientSession, url: str) -> None:
    async with http.ws_connect(f"{url}/feed"):
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await http.ws_connect(f"{url}/feed")
    assert caught.value.status == 503
    assert caught.value.headers is not None
    assert caught.value.headers["Retry-After"] == "5"


async def test_viewers_are_closed_when_the_server_stops(http: aiohttp.ClientSession, api: PlainApi) -> None:
    async with serve_app(api.app(), "127.0.0.1:0", drain=0.1) as number:
        socket = await http.ws_connect(f"http://127.0.0.1:{number}/feed")
        await soon(socket.receive_str())
        await soon(socket.receive_bytes())
    assert (await soon(socket.receive())).data == aiohttp.WSCloseCode.GOING_AWAY


@pytest.mark.parametrize(
    ("method", "path", "body", "kind", "status", "sentence"),
    [
        ("POST", "/orders", '{"name": 7}', "application/json", 400, "`$.name`"),
        ("POST", "/orders", '{"name": "a"}', "text/plain", 415, "application/json"),
        ("POST", "/orders", '{"name": "late"}', "application/json", 503, "try again later"),
        ("POST", "/orders", " " * 101, "application/json", 413, "larger than this server takes"),
        ("GET", "/orders", None, "application/json", 405, "/orders does not take GET"),
        ("GET", "/nowhere", None, "application/json", 404, "GET /nowhere: this page does not exist"),
        ("GET", "/feed", None, "application/json", 426, "/feed is a WebSocket"),
        ("GET", "/broken", None, "application/json", 500, "its log says why"),
    ],
)
async def test_errors_are_json_with_a_sentence(
    http: aiohttp.ClientSession, url: str, method: str, path: str, body: str | None, kind: str, status: int,
    sentence: str,
) -> None:  # fmt: skip
    async with http.request(method, url + path, data=body, headers={"Content-Type": kind}) as answer:
        assert answer.status == status
        assert sentence in (await answer.json())["error"]
        assert answer.headers.get("Retry-After") == ("7" if status == 503 else None)


async def test_a_good_body_is_decoded(http: aiohttp.ClientSession, url: str) -> None:
    async with http.post(f"{url}/orders", json={"name": "good"}) as answer:
        assert (answer.status, await answer.text()) == (200, "good")
