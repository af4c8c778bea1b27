"""Observers see committed ticks only, in order, and a slow observer misses no change."""

from __future__ import annotations

import asyncio
import contextlib
import socket as sockets
from typing import Self

import aiohttp
import msgspec
import numpy as np
import pytest
from yarl import URL

from pairsim.model.authority import Cell
from pairsim.model.borders import DIED, AreaMap
from pairsim.model.geometry import Box
from pairsim.model.status import Role
from pairsim.protocol.frames import Frame
from pairsim.protocol.interest import AreaSnapshot, apply
from pairsim.replication.service import NoStateError
from pairsim.server.http import websockets as bounds
from pairsim.server.http.listener import serve_app
from pairsim.server.reads import observe as module
from tests.unit.server.fakes import FakeReplica
from tests.unit.server.http_servers import api_of, soon, until


async def frame(socket: aiohttp.ClientWebSocketResponse) -> Frame:
    return msgspec.msgpack.decode(await soon(socket.receive_bytes()), type=Frame)


def ids(data: bytes) -> list[int]:
    return sorted(np.frombuffer(data, "<i8").tolist())


async def test_entities_enter_update_and_leave(http: aiohttp.ClientSession, url: str, service: FakeReplica) -> None:
    service.spawn(1, [[1.0, 1.0, 1.0], [2.0, 2.0, 2.0], [50.0, 0.0, 0.0]])
    async with http.ws_connect(f"{url}/v1/observe?min=0,0&max=10,10&components=position") as socket:
        first = await frame(socket)
        assert (first.keyframe, first.tick, ids(first.enter.ids)) == (True, 10, [1, 2])
        assert list(first.enter.components) == ["position"]
        service.table.column("position")[0] = [3.0, 3.0, 3.0]
        service.table.column("position")[1] = [99.0, 0.0, 0.0]
        service.table.column("position")[2] = [5.0, 0.0, 0.0]
        service.publish()
        second = await frame(socket)
        assert (second.keyframe, second.tick) == (False, 11)
        assert (ids(second.enter.ids), ids(second.update.ids), ids(second.leave)) == ([3], [1], [2])
        service.table.column("mass")[0] = 7.0  # not selected
        service.publish()
        assert len((await frame(socket)).update) == 0


CELLS = tuple(
    Cell(number=number, area=name, bounds=Box((low, 0.0, 0.0), (low + 10.0, 10.0, 10.0)))
    for number, name, low in ((1, "north", 0.0), (2, "south", 10.0))
)


def leave(service: FakeReplica, where: dict[int, int], *, forgotten: bool = False) -> None:
    """Lets entities leave the area of the replica in the next tick, for the areas with these numbers."""
    ids = np.array(list(where), np.int64)
    borders = service.borders.copy()
    borders.clock, borders.map = borders.clock + 3, AreaMap(1, CELLS)
    if not forgotten:
        borders.departures = borders.departures.add(borders.clock, ids, np.array(list(where.values()), np.int32))
    with service._lock:
        service.table.despawn(ids)
        service.borders = borders
    service.publish()


def departed(frame: Frame) -> tuple[dict[str, list[int]], list[int]]:
    return {area: ids(moved) for area, moved in frame.moved.items()}, ids(frame.gone)


async def test_a_frame_says_who_moved_and_who_is_gone(
    http: aiohttp.ClientSession, url: str, service: FakeReplica
) -> None:
    service.spawn(1, [[1.0, 1.0, 1.0]] * 8)
    async with http.ws_connect(f"{url}/v1/observe?min=0,0&max=10,10&components=position") as socket:
        first = await frame(socket)
        assert (first.clock, *departed(first)) == (0, {}, [])
        row = service.table.row(5)
        assert row is not None
        service.table.column("position")[row] = [99.0, 0.0, 0.0]
        leave(service, {1: 2, 2: 2, 3: DIED, 4: 9})
        second = await frame(socket)
        assert (second.clock, ids(second.leave)) == (3, [1, 2, 3, 4, 5]), "entity 5 left the box alone"
        assert departed(second) == ({"south": [1, 2], "": [4]}, [3])
        leave(service, {6: DIED}, forgotten=True)
        third = await frame(socket)
        assert (ids(third.leave), *departed(third)) == ([6], {}, [])


async def test_who_left_and_came_back_between_two_frames_has_not_moved(
    http: aiohttp.ClientSession, url: str, service: FakeReplica
) -> None:
    service.spawn(1, [[1.0, 1.0, 1.0]] * 2)
    async with http.ws_connect(f"{url}/v1/observe?min=0,0&max=10,10") as socket:
        await frame(socket)
        with service._lock:
            leave(service, {1: 2, 2: 2})
            service.spawn(1, [[50.0, 1.0, 1.0]])
        seen = await frame(socket)
        while not seen.leave:
            seen = await frame(socket)
        assert (ids(seen.leave), *departed(seen)) == ([1, 2], {"south": [2]}, [])


async def test_the_keyframe_after_a_gap_names_the_departures_since(
    http: aiohttp.ClientSession, url: str, service: FakeReplica
) -> None:
    service.spawn(1, [[1.0, 1.0, 1.0]] * 4)
    async with http.ws_connect(f"{url}/v1/observe") as other:
        await frame(other)
        leave(service, {1: 2})
        await frame(other)
        leave(service, {2: 2, 3: DIED})
        await frame(other)  # what the group knows begins after this frame
        async with http.ws_connect(f"{url}/v1/observe?clock=3") as socket:
            keyframe = await frame(socket)
            assert (keyframe.keyframe, ids(keyframe.enter.ids), *departed(keyframe)) == (True, [4], {"south": [2]}, [3])
            leave(service, {4: 2})
            assert departed(await frame(socket)) == ({"south": [4]}, [])
    async with http.ws_connect(f"{url}/v1/observe") as socket:
        assert departed(await frame(socket)) == ({}, [])


async def test_an_old_tick_brings_no_frame(http: aiohttp.ClientSession, url: str, service: FakeReplica) -> None:
    async with http.ws_connect(f"{url}/v1/observe") as socket:
        await frame(socket)
        service.publish(10)
        service.publish(9)
        service.publish(12)
        assert (await frame(socket)).tick == 12


async def test_a_lower_term_brings_no_frame(http: aiohttp.ClientSession, url: str, service: FakeReplica) -> None:
    service.term = 5
    async with http.ws_connect(f"{url}/v1/observe") as socket:
        await frame(socket)
        service.term = 4
        reads = service.reads
        service.publish(11)
        await until(lambda: service.reads > reads)
        service.term = 6
        service.publish(12)
        seen = await frame(socket)
        assert (seen.tick, seen.term) == (12, 6)


async def test_a_group_takes_one_snapshot_per_tick(http: aiohttp.ClientSession, url: str, service: FakeReplica) -> None:
    service.spawn(1, [[1.0, 1.0, 1.0]])
    address = f"{url}/v1/observe?min=0,0&max=10,10"
    async with http.ws_connect(address) as a, http.ws_connect(address) as b, http.ws_connect(address) as c:
        for socket in (a, b, c):
            await frame(socket)
        before = service.reads
        for tick in range(11, 21):
            service.publish(tick)
            for socket in (a, b, c):
                assert (await frame(socket)).tick == tick
        assert service.reads == before + 10


async def test_the_rate_is_bounded(http: aiohttp.ClientSession, url: str, service: FakeReplica) -> None:
    """The second frame of the slow one is due after 100 s."""
    async with http.ws_connect(f"{url}/v1/observe?hz=0.01") as slow, http.ws_connect(f"{url}/v1/observe") as fast:
        await frame(slow)
        await frame(fast)
        for tick in range(11, 16):
            service.publish(tick)
            assert (await frame(fast)).tick == tick
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await slow.receive_bytes()


@pytest.mark.parametrize("query", ["components=colour", "min=0,0", "hz=0", "hz=61", "hz=nan", "min=1,1&max=0,0"])
async def test_a_bad_query_is_refused_before_the_upgrade(http: aiohttp.ClientSession, url: str, query: str) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await http.ws_connect(f"{url}/v1/observe?{query}")
    assert caught.value.status == 400


async def test_a_spare_refuses_observers(http: aiohttp.ClientSession, url: str, service: FakeReplica) -> None:
    service.become(Role.SPARE)
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await http.ws_connect(f"{url}/v1/observe")
    assert caught.value.status == 503


async def test_an_observer_over_the_limit_is_refused(http: aiohttp.ClientSession) -> None:
    api = api_of(FakeReplica())
    api._observers.sockets._limit = 1
    async with serve_app(api.app(), "127.0.0.1:0") as number:
        address = f"http://127.0.0.1:{number}/v1/observe"
        async with http.ws_connect(address):
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await http.ws_connect(address)
            assert caught.value.status == 503


async def test_an_observer_waits_for_a_readable_state(
    http: aiohttp.ClientSession, url: str, service: FakeReplica
) -> None:
    service.read_errors = [NoStateError("joining"), TimeoutError("busy")]
    async with http.ws_connect(f"{url}/v1/observe") as socket:
        await until(lambda: service.reads >= 1)
        service.publish()
        await until(lambda: service.reads >= 2)
        service.publish()
        assert (await frame(socket)).keyframe


async def test_an_observer_of_too_many_entities_is_closed_with_the_reason(
    http: aiohttp.ClientSession, url: str, service: FakeReplica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_ENTITIES", 2)
    service.spawn(1, [[1.0, 1.0, 1.0]] * 3)
    async with http.ws_connect(f"{url}/v1/observe") as socket:
        closed = await soon(socket.receive())
        assert closed.data == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
        assert "smaller" in closed.extra


async def test_an_observer_is_closed_after_a_long_time_without_ticks(
    http: aiohttp.ClientSession, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TICK_SECONDS", 0.05)
    async with http.ws_connect(f"{url}/v1/observe") as socket:
        await frame(socket)
        assert (await soon(socket.receive())).data == aiohttp.WSCloseCode.TRY_AGAIN_LATER


class LazyPeer:
    """An observer with a small receive buffer, that reads only when the test says so."""

    def __init__(self, url: str) -> None:
        self._url = URL(url)
        self._raw = sockets.socket()
        self._raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
        self._raw.setblocking(False)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self._raw, (self._url.host, self._url.port))
        request = (
            "GET /v1/observe HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        await loop.sock_sendall(self._raw, request.encode())
        self._data = b""
        while b"\r\n\r\n" not in self._data:
            await self._more()
        self._data = self._data.partition(b"\r\n\r\n")[2]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._raw.close()

    async def _more(self) -> bool:
        data = await soon(asyncio.get_running_loop().sock_recv(self._raw, 65536))
        self._data += data
        return bool(data)

    async def _take(self, count: int) -> bytes:
        while len(self._data) < count:
            if not await self._more():
                raise ConnectionError
        taken, self._data = self._data[:count], self._data[count:]
        return taken

    async def frame(self) -> Frame:
        _, length = await self._take(2)
        if length == 126:
            length = int.from_bytes(await self._take(2), "big")
        elif length == 127:
            length = int.from_bytes(await self._take(8), "big")
        return msgspec.msgpack.decode(await self._take(length), type=Frame)

    async def drain(self) -> bytes:
        """Reads up to the end of the connection and returns the last bytes."""
        with contextlib.suppress(ConnectionError):
            while await self._more():
                self._data = self._data[-200:]
        return self._data


def big(service: FakeReplica) -> None:
    service.spawn(1, np.random.default_rng(1).random((50_000, 3)))


async def test_a_slow_observer_gets_fewer_frames_and_the_same_content(
    http: aiohttp.ClientSession, url: str, service: FakeReplica
) -> None:
    big(service)
    rng = np.random.default_rng(2)
    async with LazyPeer(url) as lazy, http.ws_connect(f"{url}/v1/observe", max_msg_size=0) as fast:
        await frame(fast)
        last = 40
        for tick in range(11, last + 1):
            service.table.column("position")[:] = rng.random((50_000, 3))
            service.table.column("mass")[tick] = tick
            service.publish(tick)
            assert (await frame(fast)).tick == tick  # the lazy one delays nobody
        seen: AreaSnapshot | None = None
        count = 0
        while seen is None or seen.tick < last:
            received = await lazy.frame()
            assert seen is None or received.tick > seen.tick
            seen = apply(seen, received)
            count += 1
        assert count < 20
        assert seen.columns["position"].tobytes() == service.table.column("position").tobytes()
        assert seen.columns["mass"].tobytes() == service.table.column("mass").tobytes()


async def test_an_observer_that_never_reads_is_disconnected(
    http: aiohttp.ClientSession, url: str, service: FakeReplica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds.send, "__defaults__", (0.1,))
    big(service)
    async with LazyPeer(url) as lazy, http.ws_connect(f"{url}/v1/observe", max_msg_size=0) as fast:
        await frame(fast)
        tick = 10
        gone = asyncio.ensure_future(_dropped(http, url))
        while not gone.done():
            tick += 1
            service.table.column("position")[:] = tick
            service.publish(tick)
            await frame(fast)
        assert await gone
        assert b"nothing was read" not in await lazy.drain()  # nothing is kept for it, not even the reason


async def _dropped(http: aiohttp.ClientSession, url: str) -> bool:
    async with asyncio.timeout(10):
        while True:
            async with http.get(f"{url}/metrics") as answer:
                if 'pairsim_observers{area="north"} 1.0' in (await answer.text()).splitlines():
                    return True
