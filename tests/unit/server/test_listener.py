"""Connections are bounded in number, and closed when they are silent."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket

import aiohttp
import msgspec
import pytest
import structlog

from pairsim.protocol.frames import RELAY_HEADER
from pairsim.server.commands import session
from pairsim.server.control import watch
from pairsim.server.http import listener
from pairsim.server.http.listener import connection_limit, serve_app
from pairsim.system.open_files import raise_file_limit
from tests.unit.server.fakes import TOKEN, FakeReplica, commands
from tests.unit.server.http_servers import api_of, serve_replica, soon

AUTHORISED = {"Authorization": f"Bearer {TOKEN}"}


async def ended(reader: asyncio.StreamReader) -> None:
    """Waits until the server closes the connection."""
    with contextlib.suppress(ConnectionError):
        assert await soon(reader.read()) == b""


async def test_a_connection_over_the_limit_is_answered_503(http: aiohttp.ClientSession) -> None:
    async with serve_app(api_of(FakeReplica("a")).app(), "127.0.0.1:0", limit=0) as port:
        url = f"http://127.0.0.1:{port}"
        async with http.post(f"{url}/v1/commands", data=b"x" * 100_000) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
            assert await answer.json() == {"error": "too many connections are open: try again"}
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(f"{url}/v1/observe")
        assert refused.value.status == 503


async def test_a_connection_waits_while_many_rejected_ones_are_open() -> None:
    request = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with serve_app(api_of(FakeReplica("a")).app(), "127.0.0.1:0", limit=0) as port:
        opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(listener._MIN_LINGERING + 20)]
        for _reader, writer in opened[-20:]:
            writer.write(request)
        for reader, writer in opened[-20:]:
            assert await soon(reader.readline()) == b"HTTP/1.1 503 Service Unavailable\r\n"
            writer.close()
        for reader, writer in opened[:-20]:
            await ended(reader)
            writer.close()


async def test_connections_over_the_limit_are_closed_and_the_others_served() -> None:
    async with serve_app(api_of(FakeReplica("a")).app(), "127.0.0.1:0", limit=3) as port:
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


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize(
    ("address", "urls"),
    [("[::1]:0", ["http://[::1]"]), ("[::]:0", ["http://[::1]", "http://127.0.0.1"]), (":0", ["http://[::1]"])],
)
async def test_ipv6_is_served_and_the_wildcard_serves_both(address: str, urls: list[str]) -> None:
    async with serve_app(api_of(FakeReplica("a")).app(), address) as port, aiohttp.ClientSession() as http:
        for url in urls:
            async with http.get(f"{url}:{port}/livez") as answer:
                assert answer.status == 200


async def test_an_idle_connection_is_closed() -> None:
    async with serve_app(api_of(FakeReplica("a")).app(), "127.0.0.1:0", idle=0.2) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await soon(reader.read())).startswith(b"HTTP/1.1 200 OK\r\n")
        writer.close()


async def test_a_connection_without_a_request_is_closed_and_one_with_a_request_is_not() -> None:
    async with serve_app(api_of(FakeReplica("a")).app(), "127.0.0.1:0", silence=0.2) as port:
        silent, silent_writer = await asyncio.open_connection("127.0.0.1", port)
        half, half_writer = await asyncio.open_connection("127.0.0.1", port)
        half_writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        request = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
        writer.write(request)
        assert await soon(reader.readline()) == b"HTTP/1.1 200 OK\r\n"
        await ended(silent)
        await ended(half)
        writer.write(request)
        await soon(reader.readuntil(b"HTTP/1.1 200 OK\r\n"))
        for each in (silent_writer, half_writer, writer):
            each.close()


def test_the_connection_limit_leaves_files_for_journals_and_peers() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
        raise_file_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > listener.MAX_CONNECTIONS
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(
    ("files", "connections"), [(64, 16), (290, 72), (1024, 1024 - 256), (65_536, listener.MAX_CONNECTIONS)]
)
def test_the_connection_limit_follows_the_limit_of_open_files(files: int, connections: int) -> None:
    assert connection_limit(files) == connections


async def test_a_low_limit_of_open_files_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "raise_file_limit", lambda: 128)
    with structlog.testing.capture_logs() as lines:
        async with serve_app(api_of(FakeReplica("a")).app(), "127.0.0.1:0"):
            pass
    low = next(line for line in lines if line["event"].startswith("few files may be open"))
    assert (low["files"], low["connections"]) == (128, 32)


async def test_an_idle_session_is_closed_for_a_new_one_and_a_busy_session_is_not(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "MAX_SESSIONS", 2)
    monkeypatch.setattr(session, "IDLE_SECONDS", 0.0)
    service = FakeReplica("a")
    async with (
        serve_replica(service) as url,
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


async def test_the_passive_is_accepted_when_all_sessions_are_taken(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "MAX_SESSIONS", 1)
    async with serve_replica(FakeReplica("a")) as url, http.ws_connect(f"{url}/v1/session"):
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await http.ws_connect(f"{url}/v1/session", headers={RELAY_HEADER: "1"})
        async with http.ws_connect(f"{url}/v1/session", headers={RELAY_HEADER: "1"} | AUTHORISED) as relay:
            await relay.send_bytes(msgspec.msgpack.encode({"seq": 1, "commands": commands(1)}))
            assert msgspec.msgpack.decode(await soon(relay.receive_bytes()))["seq"] == 1


async def test_the_controller_is_accepted_when_all_watchers_are_taken(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "MAX_WATCHERS", 1)
    async with serve_replica(FakeReplica("a")) as url, http.ws_connect(f"{url}/v1/watch"):
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await http.ws_connect(f"{url}/v1/watch")
        async with http.ws_connect(f"{url}/v1/watch", headers=AUTHORISED) as controller:
            assert await soon(controller.receive_str())


async def test_malformed_http_leaves_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    async with serve_replica(FakeReplica("a")) as url:
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n")
        assert b"400" in await soon(reader.readline())
        writer.close()
    assert not [record for record in caplog.records if record.exc_info]
