"""The known status of a process that restarts, hangs, or sends invalid data."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest
from aiohttp import web

from pairsim.client import process_requests
from pairsim.model.status import ReplicaStatus, Role, WitnessStatus
from pairsim.server.http.listener import serve_app
from pairsim_controller.plan.view import Kind
from pairsim_controller.reconcile import status_watcher as module
from pairsim_controller.reconcile.reconnect_pace import ReconnectPace
from pairsim_controller.reconcile.status_watcher import StatusWatcher
from tests.unit.controller.builders import assignment, replica, witness
from tests.unit.controller.local_worlds import until

PAIR = assignment("sim-1", "sim-2", "witness-1")
STATUS = replica("sim-1", PAIR, Role.ACTIVE)
Script = Callable[[web.WebSocketResponse], Awaitable[None]]


def text(status: ReplicaStatus | WitnessStatus) -> str:
    return msgspec.json.encode(status).decode()


async def says_it(socket: web.WebSocketResponse) -> None:
    """Sends a status, as a process should."""
    await socket.send_str(text(STATUS))
    await socket.receive()


class Process:
    """Runs one script for each watcher; the last script repeats."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = list(scripts)
        self.watched = 0

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/v1/watch", self._watch)
        return app

    async def _watch(self, request: web.Request) -> web.WebSocketResponse:
        script = self.scripts[min(self.watched, len(self.scripts) - 1)]
        self.watched += 1
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        with contextlib.suppress(ConnectionError):
            await script(socket)
        return socket


@asynccontextmanager
async def observed(
    process: Process, kind: Kind = Kind.SIMULATOR, port: int = 0
) -> AsyncIterator[tuple[StatusWatcher, list[object]]]:
    """Yields a watcher of a process, and the status at each change."""
    async with serve_app(process.app(), f"127.0.0.1:{port}", drain=0.1) as number:
        changes: list[object] = []
        url, pace = f"http://127.0.0.1:{number}", ReconnectPace()
        seen = StatusWatcher("sim-1", url, kind, "token", lambda: changes.append(seen.status), pace)
        try:
            yield seen, changes
        finally:
            await seen.close()


async def test_a_status_is_known_at_once() -> None:
    async with observed(Process(says_it)) as (seen, changes):
        assert seen.status is None
        await until(lambda: changes)
        assert changes == [STATUS]
        assert seen.status == STATUS


async def test_the_status_of_a_witness_is_watched() -> None:
    told = witness("witness-1", PAIR)

    async def says(socket: web.WebSocketResponse) -> None:
        await socket.send_str(text(told))
        await socket.receive()

    async with observed(Process(says), Kind.WITNESS) as (seen, changes):
        await until(lambda: changes)
        assert seen.status == told


async def test_an_ended_process_has_no_status_until_it_is_back() -> None:
    back = asyncio.Event()

    async def later(socket: web.WebSocketResponse) -> None:
        await back.wait()
        await says_it(socket)

    async def ends(socket: web.WebSocketResponse) -> None:
        await socket.send_str(text(STATUS))

    async with observed(Process(ends, later)) as (seen, changes):
        await until(lambda: changes[-1:] == [None])
        assert seen.status is None
        back.set()
        await until(lambda: seen.status == STATUS)
        assert changes == [STATUS, None, STATUS]


async def test_a_process_is_found_whenever_it_starts() -> None:
    async with observed(Process(says_it)) as (seen, _):
        address = seen._url.removeprefix("http://")
    async with contextlib.AsyncExitStack() as stack:
        early = StatusWatcher("sim-1", f"http://{address}", Kind.SIMULATOR, "token", lambda: None, ReconnectPace())
        stack.push_async_callback(early.close)
        await asyncio.sleep(0)
        assert early.status is None
        await stack.enter_async_context(serve_app(Process(says_it).app(), address, drain=0.1))
        await until(lambda: early.status == STATUS)


@pytest.mark.parametrize(
    "rubbish",
    [
        "",
        "{",
        "[]",
        '{"plane": 7}',
        text(witness("witness-1", PAIR)),
        '{"x":' + "[" * 100_000,
        '{"plane": "\\ud800"}',
        "x" * 5_000_000,
        b"\xff\xfe",
        text(STATUS).encode(),
    ],
    ids=["empty", "half", "array", "type", "witness", "deep", "surrogate", "huge", "bytes", "binary"],
)
async def test_invalid_data_is_ignored_and_the_watch_is_repeated(rubbish: str | bytes) -> None:
    async def talks(socket: web.WebSocketResponse) -> None:
        await (socket.send_str(rubbish) if isinstance(rubbish, str) else socket.send_bytes(rubbish))
        await socket.receive()

    async with observed(Process(talks, says_it)) as (seen, changes):
        await until(lambda: seen.status == STATUS)
        assert changes == [STATUS], "nothing was known before"


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"\x00\xff" * 50, b"SSH-2.0-OpenSSH\r\n", b"", b"H" * 99_999],
)
async def test_another_server_has_no_status(answer: bytes) -> None:
    asked = ended = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked, ended
        asked += 1
        with contextlib.suppress(ConnectionError):
            await reader.read(100)
            writer.write(answer)
            writer.close()
            await writer.wait_closed()
        writer.transport.abort()
        ended += 1

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        seen = StatusWatcher(
            "sim-1", f"http://127.0.0.1:{port}", Kind.SIMULATOR, "token", lambda: None, ReconnectPace()
        )
        await until(lambda: asked >= 3)
        assert seen.status is None
        await seen.close()
        await until(lambda: ended == asked)


async def test_a_hanging_process_loses_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_requests, "_WATCH_SILENCE_SECONDS", 0.2)
    hangs = asyncio.Event()

    async def once(socket: web.WebSocketResponse) -> None:
        await socket.send_str(text(STATUS))
        await hangs.wait()

    process = Process(once)
    async with observed(process) as (_, changes):
        await until(lambda: changes[:3] == [STATUS, None, STATUS])
        hangs.set()
    assert process.watched >= 2


async def test_a_status_that_is_not_renewed_becomes_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STALE_AFTER_SECONDS", 0.1)
    async with observed(Process(says_it)) as (seen, changes):
        await until(lambda: changes)
        await until(lambda: seen.status is None)
        assert seen.silent_seconds >= 0.1
        assert changes == [STATUS], "the connection is as it was"


async def test_silence_counts_from_the_start() -> None:
    never = StatusWatcher("sim-1", "http://127.0.0.1:9", Kind.SIMULATOR, "token", lambda: None, ReconnectPace())
    await until(lambda: never.silent_seconds > 0.05)
    assert never.silent_seconds < 60
    await never.close()


async def test_closing_ends_it_in_any_state() -> None:
    stuck = asyncio.Event()

    async def hangs(socket: web.WebSocketResponse) -> None:
        await stuck.wait()

    process = Process(hangs)
    async with observed(process) as (seen, _):
        await until(lambda: process.watched)
        async with asyncio.timeout(5):
            await seen.close()
        assert seen._task.done()
        stuck.set()


async def test_a_process_that_is_back_or_not_watched_does_not_slow_the_others() -> None:
    reached: list[str] = []

    class Pace(ReconnectPace):
        def reached(self, name: str) -> None:
            reached.append(name)

    async with serve_app(Process(says_it).app(), "127.0.0.1:0", drain=0.1) as port:
        seen = StatusWatcher("sim-1", f"http://127.0.0.1:{port}", Kind.SIMULATOR, "token", lambda: None, Pace())
        await until(lambda: seen.status == STATUS)
        assert reached == ["sim-1"]
        await seen.close()
        assert reached == ["sim-1", "sim-1"]
