"""A session pipelines batches, is bounded, and answers every batch."""

from __future__ import annotations

import asyncio
import contextlib

import aiohttp
import msgspec
import pytest

from pairsim.protocol.frames import MAX_BODY, SESSION_BATCHES, SessionAnswer, SessionBatch
from pairsim.server.http.listener import serve_app
from tests.unit.server.fakes import FakeReplica, commands
from tests.unit.server.http_servers import api_of, serve_replica, soon, until


def frame(seq: int, count: int = 1, prefix: str | None = None) -> bytes:
    return msgspec.msgpack.encode(SessionBatch(seq, commands(count, prefix or f"s{seq}-")))


async def answer(socket: aiohttp.ClientWebSocketResponse) -> SessionAnswer:
    return msgspec.msgpack.decode(await soon(socket.receive_bytes()), type=SessionAnswer)


async def test_batches_are_pipelined(http: aiohttp.ClientSession, url: str, service: FakeReplica) -> None:
    service.auto = False
    async with http.ws_connect(f"{url}/v1/session") as socket:
        for seq in range(10):
            await socket.send_bytes(frame(seq, 3))
        await until(lambda: len(service.submitted) == 10)
        service.commit()
        answers = [await answer(socket) for _ in range(10)]
    assert sorted(a.seq for a in answers) == list(range(10))
    for a in answers:
        assert [r.id for r in a.results] == [f"s{a.seq}-{i}" for i in range(3)]
        assert (a.term, a.error, {r.tick for r in a.results}) == (1, "", {11})


async def test_a_bad_batch_is_answered_and_the_session_goes_on(
    http: aiohttp.ClientSession, url: str, service: FakeReplica
) -> None:
    async with http.ws_connect(f"{url}/v1/session") as socket:
        bad = [msgspec.structs.replace(c, op="sing") for c in commands(1)]
        await socket.send_bytes(msgspec.msgpack.encode(SessionBatch(1, bad)))
        received = await soon(socket.receive_bytes())
        assert set(msgspec.msgpack.decode(received)) == {"seq", "error", "code"}, "other keys only when true"
        refused = msgspec.msgpack.decode(received, type=SessionAnswer)
        assert (refused.code, refused.retry) == (400, False)
        assert "sing" in refused.error
        service.full = True
        await socket.send_bytes(frame(2))
        busy = await answer(socket)
        assert (busy.code, busy.retry) == (429, True)
        service.full = False
        await socket.send_bytes(frame(3))
        assert (await answer(socket)).error == ""


async def test_an_internal_error_is_answered_without_its_details(
    http: aiohttp.ClientSession, url: str, service: FakeReplica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "command_schema", lambda: 1 // 0)
    async with http.ws_connect(f"{url}/v1/session") as socket:
        await socket.send_bytes(frame(1))
        failed = await answer(socket)
    assert failed.code == 500
    assert "zero" not in failed.error


@pytest.mark.parametrize("hostile", [b"\xc1", b"", msgspec.msgpack.encode({"seq": "one", "commands": []})])
async def test_an_invalid_frame_ends_the_session_with_a_reason(
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
    http: aiohttp.ClientSession, url: str, service: FakeReplica
) -> None:
    service.auto = False
    total = 3 * SESSION_BATCHES
    async with http.ws_connect(f"{url}/v1/session") as socket:
        for seq in range(total):
            await socket.send_bytes(frame(seq))
        await until(lambda: len(service.submitted) == SESSION_BATCHES)
        answers: list[SessionAnswer] = []
        most = 0
        while len(answers) < total:
            most = max(most, len(service.submitted))
            due = len(service.submitted)
            service.commit()
            answers += [await answer(socket) for _ in range(due)]
            if len(answers) < total:
                await until(lambda: bool(service.submitted))
    assert sorted(a.seq for a in answers) == list(range(total))
    assert most == SESSION_BATCHES


async def test_the_window_counts_commands_too(http: aiohttp.ClientSession, url: str, service: FakeReplica) -> None:
    service.auto = False
    async with http.ws_connect(f"{url}/v1/session", max_msg_size=MAX_BODY) as socket:
        for seq in range(3):
            await socket.send_bytes(frame(seq, 10_000))
        await until(lambda: len(service.submitted) == 2)
        async with http.get(f"{url}/v1/status"):  # the server had its turns, and did not read on
            assert len(service.submitted) == 2
        service.commit()
        await until(lambda: len(service.submitted) == 1)
        service.commit()
        assert sorted([(await answer(socket)).seq for _ in range(3)]) == [0, 1, 2]


async def test_the_last_answers_come_before_the_session_is_closed(http: aiohttp.ClientSession) -> None:
    service = FakeReplica(auto=False)
    stop = asyncio.Event()
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def serve() -> None:
        async with serve_app(api_of(service).app(), "127.0.0.1:0") as number:
            url.set_result(f"http://127.0.0.1:{number}")
            await stop.wait()

    serving = asyncio.ensure_future(serve())
    async with http.ws_connect(f"{await soon(url)}/v1/session") as socket:
        await socket.send_bytes(frame(1))
        await until(lambda: len(service.submitted) == 1)
        stop.set()
        asyncio.get_running_loop().call_later(0.05, service.commit)
        assert (await answer(socket)).seq == 1
        assert (await soon(socket.receive())).data == aiohttp.WSCloseCode.GOING_AWAY
    await soon(serving)


async def test_a_session_over_the_limit_is_refused() -> None:
    api = api_of(FakeReplica())
    api._sessions.sockets._limit = 1
    async with serve_app(api.app(), "127.0.0.1:0") as number, aiohttp.ClientSession() as http:
        url = f"http://127.0.0.1:{number}/v1/session"
        async with http.ws_connect(url):
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await http.ws_connect(url)
            assert caught.value.status == 503


async def test_the_commands_of_a_client_that_disconnects_do_not_count_any_more() -> None:
    service = FakeReplica(auto=False)
    async with serve_replica(service, limit=100) as url, aiohttp.ClientSession() as http:
        async with http.ws_connect(f"{url}/v1/session") as socket:
            await socket.send_bytes(frame(1, 100))
            await until(lambda: len(service.submitted) == 1)
        service.auto = True
        async with asyncio.timeout(10), http.ws_connect(f"{url}/v1/session") as socket:
            while True:
                await socket.send_bytes(frame(2, 100))
                if not (await answer(socket)).error:
                    break
