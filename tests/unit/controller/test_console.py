"""What the console's server sends, to whom, and how much."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import numpy as np
import pytest
import pytest_asyncio

from pairsim.model.state.schema import Component, Schema
from pairsim.model.state.table import Table
from pairsim.server.http.listener import serve_app
from pairsim_controller.console import feed, sampling
from pairsim_controller.console.feed import MAX_VIEWERS, ViewerOutbox
from pairsim_controller.local.api import world_app
from pairsim_controller.local.world_status import world_status
from tests.unit.controller.local_worlds import WorldHarness, local_world, until


@pytest_asyncio.fixture
async def made(tmp_path: Path) -> AsyncIterator[WorldHarness]:
    async with local_world(tmp_path) as made:
        await made.known()
        yield made


@pytest_asyncio.fixture
async def http(made: WorldHarness) -> AsyncIterator[aiohttp.ClientSession]:
    app = world_app(made.world)
    async with (
        serve_app(app, "127.0.0.1:0") as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}", timeout=aiohttp.ClientTimeout(10)) as session,
    ):
        yield session


async def test_the_page_loads_nothing_from_other_origins(http: aiohttp.ClientSession) -> None:
    async with http.get("/") as answer:
        page = await answer.text()
        assert answer.content_type == "text/html"
        assert "default-src 'none'; script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "http" not in page.replace("http-equiv", "")
    parts = [word.split('"')[1] for word in page.split() if word.startswith(("href=", "src="))]
    assert len(parts) >= 3
    for part in parts:
        async with http.get(part) as answer:
            assert answer.status == 200
            assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_viewer_receives_the_world_at_once(http: aiohttp.ClientSession) -> None:
    async with http.ws_connect("/v1/console") as socket:
        message = json.loads((await socket.receive(5)).data)
        assert (message["kind"], message["kill"]) == ("world", True)
        assert [area["area"] for area in message["world"]["areas"]] == ["north"]


async def test_pages_of_other_origins_are_refused(http: aiohttp.ClientSession) -> None:
    here = http._base_url.authority if http._base_url else ""
    for origin in ("http://evil.example", "null", f"http://evil{here}", f"http://{here}.evil.example"):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect("/v1/console", headers={"Origin": origin})
        assert refused.value.status == 403
    own = str(http._base_url).rstrip("/")
    async with http.ws_connect("/v1/console", headers={"Origin": own}) as socket:
        await socket.receive(5)


async def test_the_number_of_viewers_is_bounded(http: aiohttp.ClientSession) -> None:
    sockets = [await http.ws_connect("/v1/console") for _ in range(MAX_VIEWERS)]
    for socket in sockets:
        await socket.receive(5)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await http.ws_connect("/v1/console")
    assert refused.value.status == 503
    assert refused.value.headers is not None
    assert refused.value.headers["Retry-After"] == "5"
    for socket in sockets:
        await socket.close()
    async with asyncio.timeout(10):
        while True:
            try:
                again = await http.ws_connect("/v1/console")
                break
            except aiohttp.WSServerHandshakeError:
                await asyncio.sleep(0.01)
    await again.close()


def test_a_slow_viewer_gets_the_newest_messages_only() -> None:
    viewer = ViewerOutbox()
    for number in range(1000):
        viewer.world = b"world %d" % number
        for area in ("west", "east"):
            viewer.samples[area] = b"%s %d" % (area.encode(), number)
    sent = []
    while (message := viewer.next()) is not None:
        sent.append(message)
    assert sent == [b"world 999", b"west 999", b"east 999"]


async def test_sampling_runs_only_while_there_are_viewers(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    running: list[bool] = []

    class Sampler:
        def __init__(self, *_words: object) -> None: ...

        async def run(self) -> None:
            running.append(True)
            try:
                await asyncio.sleep(60)
            finally:
                running.pop()

    monkeypatch.setattr(feed, "Sampler", Sampler)
    await asyncio.sleep(0)
    assert not running
    async with http.ws_connect("/v1/console") as one, http.ws_connect("/v1/console") as other:
        await one.receive(5)
        await other.receive(5)
        async with asyncio.timeout(10):
            while running != [True]:
                await asyncio.sleep(0.01)
    async with asyncio.timeout(10):
        while running:
            await asyncio.sleep(0.01)


async def test_a_plain_request_is_refused_with_a_hint(http: aiohttp.ClientSession) -> None:
    async with http.get("/v1/console") as answer:
        assert answer.status == 426
        assert "WebSocket" in (await answer.json())["error"]


async def test_frames_are_compressed_and_viewers_are_closed_at_the_end(made: WorldHarness) -> None:
    async with aiohttp.ClientSession() as session:
        async with serve_app(world_app(made.world), "127.0.0.1:0") as port:
            socket = await session.ws_connect(f"http://127.0.0.1:{port}/v1/console", compress=15)
            assert socket.compress
            await socket.receive(5)
            reading = asyncio.create_task(_read_to_the_end(socket))
        async with asyncio.timeout(10):
            await reading
        assert socket.close_code == aiohttp.WSCloseCode.GOING_AWAY


async def _read_to_the_end(socket: aiohttp.ClientWebSocketResponse) -> None:
    async for _message in socket:
        pass


async def test_a_viewer_that_sends_too_much_is_disconnected(http: aiohttp.ClientSession) -> None:
    async with http.ws_connect("/v1/console") as socket:
        await socket.send_bytes(bytes(4096))
        async with asyncio.timeout(10):
            while (await socket.receive()).type is not aiohttp.WSMsgType.CLOSE:
                pass
        assert socket.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG


async def test_samples_come_from_the_passive_and_are_bounded(made: WorldHarness) -> None:
    for replica in made.replicas.values():
        replica.spawn(1, [[float(n), 2.0, 3.0] for n in range(3 * sampling.MAX_ENTITIES)])
    shown: list[sampling.Sample] = []
    sampler = sampling.Sampler(lambda: world_status(made.world).areas, shown.append)
    before = made.replicas["a"].reads
    task = asyncio.create_task(sampler.run())
    await until(lambda: len(shown) >= 3)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert made.replicas["a"].reads == before
    assert made.replicas["b"].reads >= 3
    assert {len(sample.points) for sample in shown} == {2 * sampling.MAX_ENTITIES}
    assert shown[0].points[:4] == [0.0, 2.0, 1.0, 2.0]


async def test_an_entity_at_no_finite_place_hides_no_other_one(made: WorldHarness) -> None:
    for replica in made.replicas.values():
        replica.spawn(1, [[math.nan, 2.0, 3.0], [4.0, math.inf, 6.0], [7.0, 8.0, math.nan]])
    shown: list[sampling.Sample] = []
    task = asyncio.create_task(sampling.Sampler(lambda: world_status(made.world).areas, shown.append).run())
    await until(lambda: bool(shown))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (shown[0].points, shown[0].unplaced) == ([7.0, 8.0], False)


async def test_a_sample_says_that_entities_have_no_position(made: WorldHarness) -> None:
    for replica in made.replicas.values():
        replica.table = Table(Schema((Component("mass", "float64"),)))
        replica.table.spawn(np.arange(80), {})
    shown: list[sampling.Sample] = []
    sampler = sampling.Sampler(lambda: world_status(made.world).areas, shown.append)
    task = asyncio.create_task(sampler.run())
    await until(lambda: len(shown) >= 2)
    for replica in made.replicas.values():
        replica.table = Table(replica.table.schema)
    await until(lambda: not shown[-1].unplaced)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (shown[0].points, shown[0].unplaced) == ([], True)
