"""The fast way in: pipelined, bounded, answered to the last."""

from __future__ import annotations

import asyncio
import contextlib

import aiohttp
import msgspec
import pytest

from pairsim.protocol.frames import MAX_BODY, SESSION_BATCHES, SessionAnswer, SessionBatch
from pairsim.server.http.listener import listening
from tests.unit.server.fakes import FakePort, commands
from tests.unit.server.helpers import api_of, served, soon, until


def frame(seq: int, count: int = 1, prefix: str | None = None) -> bytes:
    return msgspec.msgpack.encode(SessionBatch(seq, commands(count, prefix or f"s{seq}-")))


async def answer(socket: aiohttp.ClientWebSocketResponse) -> SessionAnswer:
    return msgspec.msgpack.decode(await soon(socket.receive_bytes()), type=SessionAnswer)


async def test_batches_are_pipelined(http: aiohttp.ClientSession, url: str, port: FakePort) -> None:
    port.auto = False
    async with http.ws_connect(f"{url}/v1/session") as socket:
        for seq in range(10):
            await socket.send_bytes(frame(seq, 3))
        await until(lambda: len(port.submitted) == 10)
        port.commit()
        answers = [await answer(socket) for _ in range(10)]
    assert sorted(a.seq for a in answers) == list(range(10))
    for a in answers:
        assert [r.id for r in a.results] == [f"s{a.seq}-{i}" for i in range(3)]
        assert (a.term, a.error, {r.tick for r in a.results}) == (1, "", {11})


async def test_a_bad_batch_is_answered_and_the_session_goes_on(
    http: aiohttp.ClientSession, url: str, port: FakePort
) -> None:
    async with http.ws_connect(f"{url}/v1/session") as socket:
        bad = [msgspec.structs.replace(c, op="sing") for c in commands(1)]
        await socket.send_bytes(msgspec.msgpack.encode(SessionBatch(1, bad)))
        told = await soon(socket.receive_bytes())
        assert set(msgspec.msgpack.decode(told)) == {"seq", "error", "code"}, "the rest is there only when it is true"
        refused = msgspec.msgpack.decode(told, type=SessionAnswer)
        assert (refused.code, refused.retry) == (400, False)
        assert "sing" in refused.error
        port.full = True
        await socket.send_bytes(frame(2))
        busy = await answer(socket)
        assert (busy.code, busy.retry) == (429, True)
        port.full = False
        await socket.send_bytes(frame(3))
        assert (await answer(socket)).error == ""


async def test_the_servers_own_fault_is_told_without_its_inside(
    http: aiohttp.ClientSession, url: str, port: FakePort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(port, "command_schema", lambda: 1 // 0)
    async with http.ws_connect(f"{url}/v1/session") as socket:
        await socket.send_bytes(frame(1))
        failed = await answer(socket)
    assert failed.code == 500
    assert "zero" not in failed.error


@pytest.mark.parametrize("hostile", [b"\xc1", b"", msgspec.msgpack.encode({"seq": "one", "commands": []})])
async def test_what_is_no_batch_ends_the_session_with_a_reason(
    http: aiohttp.ClientSession, url: str, hostile: bytes
) -> None:
    async with http.ws_connect(f"{url}/v1/session") as socket:
        await socket.send_bytes(hostile)
        closed = await soon(socket.receive())
        assert closed.type is aiohttp.WSMsgType.CLOSE
        assert closed.data == aiohttp.WSCloseCode.UNSUPPORTED_DATA
        assert "batch" in closed.extra


async def test_text_ends_the_session(http: aiohttp.ClientSession, url: str) -> None:
    async with http.ws_connect(f"{url}/v1/session") as socket:
        await socket.send_str("hello")
        assert (await soon(socket.receive())).data == aiohttp.WSCloseCode.UNSUPPORTED_DATA


async def test_a_frame_that_is_too_large_ends_the_session(http: aiohttp.ClientSession, url: str) -> None:
    async with http.ws_connect(f"{url}/v1/session") as socket:
        with contextlib.suppress(ConnectionError):  # the server stops reading in the middle of it
            await socket.send_bytes(bytes(MAX_BODY + 1))
        ended = await soon(socket.receive())
        assert ended.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        assert ended.data != aiohttp.WSCloseCode.UNSUPPORTED_DATA  # it was not even read
    async with http.get(f"{url}/livez") as alive:
        assert alive.status == 200


async def test_a_full_window_slows_down_and_loses_nothing(
    http: aiohttp.ClientSession, url: str, port: FakePort
) -> None:
    port.auto = False
    total = 3 * SESSION_BATCHES
    async with http.ws_connect(f"{url}/v1/session") as socket:
        for seq in range(total):
            await socket.send_bytes(frame(seq))
        await until(lambda: len(port.submitted) == SESSION_BATCHES)
        answers: list[SessionAnswer] = []
        most = 0
        while len(answers) < total:
            most = max(most, len(port.submitted))
            due = len(port.submitted)
            port.commit()
            answers += [await answer(socket) for _ in range(due)]
            if len(answers) < total:
                await until(lambda: bool(port.submitted))
    assert sorted(a.seq for a in answers) == list(range(total))
    assert most == SESSION_BATCHES


async def test_the_window_counts_commands_too(http: aiohttp.ClientSession, url: str, port: FakePort) -> None:
    port.auto = False
    async with http.ws_connect(f"{url}/v1/session", max_msg_size=MAX_BODY) as socket:
        for seq in range(3):
            await socket.send_bytes(frame(seq, 10_000))
        await until(lambda: len(port.submitted) == 2)
        async with http.get(f"{url}/v1/status"):  # the server had its turns, and did not read on
            assert len(port.submitted) == 2
        port.commit()
        await until(lambda: len(port.submitted) == 1)
        port.commit()
        assert sorted([(await answer(socket)).seq for _ in range(3)]) == [0, 1, 2]


async def test_the_last_answers_come_before_the_process_says_goodbye(http: aiohttp.ClientSession) -> None:
    port = FakePort(auto=False)
    stop = asyncio.Event()
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def serve() -> None:
        async with listening(api_of(port).app(), "127.0.0.1:0") as number:
            url.set_result(f"http://127.0.0.1:{number}")
            await stop.wait()

    serving = asyncio.ensure_future(serve())
    async with http.ws_connect(f"{await soon(url)}/v1/session") as socket:
        await socket.send_bytes(frame(1))
        await until(lambda: len(port.submitted) == 1)
        stop.set()
        asyncio.get_running_loop().call_later(0.05, port.commit)
        assert (await answer(socket)).seq == 1
        assert (await soon(socket.receive())).data == aiohttp.WSCloseCode.GOING_AWAY
    await soon(serving)


async def test_a_limit_of_open_sessions() -> None:
    api = api_of(FakePort())
    api._sessions.sockets._limit = 1
    async with listening(api.app(), "127.0.0.1:0") as number, aiohttp.ClientSession() as http:
        url = f"http://127.0.0.1:{number}/v1/session"
        async with http.ws_connect(url):
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await http.ws_connect(url)
            assert caught.value.status == 503


async def test_a_client_that_goes_leaves_room_for_others() -> None:
    port = FakePort(auto=False)
    async with served(port, limit=100) as url, aiohttp.ClientSession() as http:
        async with http.ws_connect(f"{url}/v1/session") as socket:
            await socket.send_bytes(frame(1, 100))
            await until(lambda: len(port.submitted) == 1)
        port.auto = True
        async with asyncio.timeout(10), http.ws_connect(f"{url}/v1/session") as socket:
            while True:
                await socket.send_bytes(frame(2, 100))
                if not (await answer(socket)).error:
                    break
