from __future__ import annotations

import asyncio
import contextlib
import resource

import aiohttp
import msgspec
import pytest

from pairsim.protocol.frames import RELAY_HEADER
from pairsim.server.commands import session
from pairsim.server.control import watch
from pairsim.server.http import listener
from pairsim.server.http.listener import listening, room
from tests.unit.server.fakes import TOKEN, FakePort, commands
from tests.unit.server.helpers import api_of, served, soon

AUTHORISED = {"Authorization": f"Bearer {TOKEN}"}


async def ended(reader: asyncio.StreamReader) -> None:
    """The other side closes the connection."""
    with contextlib.suppress(ConnectionError):
        assert await soon(reader.read()) == b""


async def test_more_connections_than_may_be_are_turned_away_and_the_others_served() -> None:
    async with listening(api_of(FakePort("a")).app(), "127.0.0.1:0", limit=3) as port:
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await ended(reader)
        writer.close()
        idle[0][1].close()
        async with aiohttp.ClientSession() as http:

            async def answered() -> bool:
                try:
                    async with http.get(f"http://127.0.0.1:{port}/livez") as answer:
                        return answer.status == 200
                except aiohttp.ClientError:
                    return False

            async with asyncio.timeout(10):
                while not await answered():
                    await asyncio.sleep(0.01)
        for _reader, writer in idle:
            writer.close()


async def test_who_was_answered_and_asks_nothing_more_is_closed() -> None:
    async with listening(api_of(FakePort("a")).app(), "127.0.0.1:0", idle=0.2) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await soon(reader.read())).startswith(b"HTTP/1.1 200 OK\r\n")
        writer.close()


async def test_who_says_nothing_is_closed_and_who_has_spoken_is_not() -> None:
    async with listening(api_of(FakePort("a")).app(), "127.0.0.1:0", silence=0.2) as port:
        silent, silent_writer = await asyncio.open_connection("127.0.0.1", port)
        half, half_writer = await asyncio.open_connection("127.0.0.1", port)
        half_writer.write(b"GET /livez HTTP/1.1\r\nHost: a\r\n")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        request = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
        writer.write(request)
        assert await soon(reader.readline()) == b"HTTP/1.1 200 OK\r\n"
        await ended(silent)
        await ended(half)
        writer.write(request)
        await soon(reader.readuntil(b"HTTP/1.1 200 OK\r\n"))
        for each in (silent_writer, half_writer, writer):
            each.close()


def test_room_leaves_files_for_journals_and_peers() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
        assert room() == listener.MAX_CONNECTIONS
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > listener.MAX_CONNECTIONS
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_room_is_what_the_system_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (1024, 1024))
    monkeypatch.setattr(resource, "setrlimit", lambda _which, _limits: None)
    assert room() == 1024 - 256


async def test_an_idle_session_makes_room_and_a_busy_one_does_not(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "MAX_SESSIONS", 2)
    monkeypatch.setattr(session, "IDLE_SECONDS", 0.0)
    port = FakePort("a")
    async with (
        served(port) as url,
        http.ws_connect(f"{url}/v1/session") as idle,
        http.ws_connect(f"{url}/v1/session") as busy,
    ):
        await busy.send_bytes(msgspec.msgpack.encode({"seq": 1, "commands": commands(1)}))
        await soon(busy.receive_bytes())
        async with http.ws_connect(f"{url}/v1/session"):
            closed = await soon(idle.receive())
            assert closed.type is aiohttp.WSMsgType.CLOSE
            assert "room is needed" in str(closed.extra)
            assert not busy.closed


async def test_the_passive_is_let_in_when_all_sessions_are_taken(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "MAX_SESSIONS", 1)
    async with served(FakePort("a")) as url, http.ws_connect(f"{url}/v1/session"):
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await http.ws_connect(f"{url}/v1/session", headers={RELAY_HEADER: "1"})
        async with http.ws_connect(f"{url}/v1/session", headers={RELAY_HEADER: "1"} | AUTHORISED) as relay:
            await relay.send_bytes(msgspec.msgpack.encode({"seq": 1, "commands": commands(1)}))
            assert msgspec.msgpack.decode(await soon(relay.receive_bytes()))["seq"] == 1


async def test_onlookers_do_not_keep_the_controller_out(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "MAX_WATCHERS", 1)
    async with served(FakePort("a")) as url, http.ws_connect(f"{url}/v1/watch"):
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await http.ws_connect(f"{url}/v1/watch")
        async with http.ws_connect(f"{url}/v1/watch", headers=AUTHORISED) as controller:
            assert await soon(controller.receive_str())


async def test_what_is_no_http_leaves_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    async with served(FakePort("a")) as url:
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n")
        assert b"400" in await soon(reader.readline())
        writer.close()
    assert not [record for record in caplog.records if record.exc_info]
