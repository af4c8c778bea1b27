"""Hostile requests never cause a 500, and change nothing unless the answer says so."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack

import aiohttp
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from pairsim.model.status import Role
from tests.unit.server.fakes import TOKEN, FakeReplica, assignment, member
from tests.unit.server.http_servers import serve_replica, soon

EXAMPLES = settings(max_examples=60, deadline=None)


class Server:
    """One server for all examples; they run in its loop."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.stack = AsyncExitStack()
        self.service = FakeReplica()
        self.service.spawn(1, [[1.0, 2.0, 3.0]])

    async def start(self) -> None:
        self.url = await self.stack.enter_async_context(serve_replica(self.service, hold=0.1))
        self.http = await self.stack.enter_async_context(aiohttp.ClientSession())

    def changes(self) -> object:
        return dict(self.service.seen), list(self.service.orders), self.service.table.digest()

    def request(self, method: str, url: URL | str, body: bytes | None = None) -> int:
        async def ask() -> int:
            headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
            async with self.http.request(method, url, data=body, headers=headers) as answer:
                content = await answer.read()
                if answer.status >= 400:
                    assert msgspec.json.decode(content, type=dict[str, object])["error"]
                return answer.status

        return self.loop.run_until_complete(soon(ask()))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    server.loop.run_until_complete(server.start())
    yield server
    server.loop.run_until_complete(server.stack.aclose())
    server.loop.close()


odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=80),
    st.binary(max_size=8),
    st.lists(st.one_of(st.floats(), st.none()), max_size=4),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)
op = st.sampled_from(["spawn", "despawn", "set", "impulse", "nothing"])
nearly_command = st.fixed_dictionaries(
    {"id": st.one_of(st.text(max_size=70), odd), "op": st.one_of(op, odd), "entity": st.one_of(st.integers(0, 9), odd)},
    optional={
        "components": st.dictionaries(st.sampled_from(["position", "mass", "velocity", "x"]), odd, max_size=2),
        "more": odd,
    },
)
nearly_batch = st.one_of(
    st.fixed_dictionaries({"commands": st.one_of(st.lists(nearly_command, max_size=3), odd)}, optional={"seq": odd}),
    odd,
)


def encode(value: object, kind: str) -> bytes:
    try:
        return msgspec.msgpack.encode(value) if kind == "msgpack" else msgspec.json.encode(value)
    except (OverflowError, ValueError):
        return repr(value).encode("utf-8", "replace")


@EXAMPLES
@given(body=st.one_of(nearly_batch.map(lambda v: encode(v, "json")), st.binary(max_size=200)))
def test_hostile_commands_change_nothing(server: Server, body: bytes) -> None:
    before = server.changes()
    status = server.request("POST", f"{server.url}/v1/commands", body)
    assert status < 500
    assert status == 200 or server.changes() == before


def mutated(document: object, data: st.DataObject) -> object:
    """Returns the document with one of its values replaced."""
    if isinstance(document, dict) and document and data.draw(st.integers(0, 3)):
        key = data.draw(st.sampled_from(sorted(document)))
        return document | {key: mutated(document[key], data)}
    if isinstance(document, list) and document and data.draw(st.integers(0, 3)):
        i = data.draw(st.integers(0, len(document) - 1))
        return [*document[:i], mutated(document[i], data), *document[i + 1 :]]
    return data.draw(odd)


@EXAMPLES
@given(data=st.data(), path=st.sampled_from(["/v1/assignment", "/v1/authority"]))
def test_hostile_control_requests_change_nothing(server: Server, data: st.DataObject, path: str) -> None:
    before = server.changes()
    body = encode(mutated(msgspec.to_builtins(assignment()), data), "json")
    status = server.request("PUT", server.url + path, body)
    assert status < 500
    assert status == 204 or server.changes() == before


point = st.one_of(st.text(max_size=12), st.lists(st.floats(), max_size=4).map(lambda v: ",".join(map(repr, v))))
PARAMETERS = {
    "/v1/entities": ("min", "max", "limit", "after"),
    "/v1/digests": ("from", "to"),
    "/v1/observe": ("min", "max", "components", "hz"),
}


def queries(path: str) -> st.SearchStrategy[dict[str, str]]:
    return st.dictionaries(st.sampled_from([*PARAMETERS.get(path, ("area",)), "x"]), point, max_size=4)


@EXAMPLES
@given(
    asked=st.one_of(
        st.sampled_from([*PARAMETERS, "/v1/status", "/v1/watch", "/v1/session"]),
        st.text(max_size=20).map(lambda text: f"/v1/entities/{text}"),
    ).flatmap(lambda path: st.tuples(st.just(path), queries(path)))
)
def test_hostile_queries_change_nothing(server: Server, asked: tuple[str, dict[str, str]]) -> None:
    path, query = asked
    before = server.changes()
    url = URL(server.url).with_path(path).with_query(query)
    assert server.request("GET", url) < 500
    assert server.changes() == before


@EXAMPLES
@given(query=queries("/v1/observe"))
def test_hostile_observations_are_400_or_work(server: Server, query: dict[str, str]) -> None:
    async def observe() -> None:
        url = URL(server.url).with_path("/v1/observe").with_query(query)
        try:
            socket = await server.http.ws_connect(url)
        except aiohttp.WSServerHandshakeError as refusal:
            status = refusal.status
        else:
            assert (await socket.receive()).type is aiohttp.WSMsgType.BINARY
            await socket.close()
            return
        assert status == 400

    server.loop.run_until_complete(soon(observe()))


@EXAMPLES
@given(frame=st.one_of(nearly_batch.map(lambda v: encode(v, "msgpack")), st.binary(max_size=200)))
def test_hostile_session_frames_change_nothing(server: Server, frame: bytes) -> None:
    """A frame is answered with an error, or the session is closed with a reason."""
    before = server.changes()

    async def talk() -> bool:
        async with server.http.ws_connect(f"{server.url}/v1/session") as socket:
            await socket.send_bytes(frame)
            message = await socket.receive()
            if message.type is aiohttp.WSMsgType.CLOSE:
                assert socket.close_code == aiohttp.WSCloseCode.UNSUPPORTED_DATA
                return False
            answer = msgspec.msgpack.decode(message.data)
            assert answer.get("code", 0) < 500
            return "error" not in answer

    applied = server.loop.run_until_complete(soon(talk()))
    assert applied or server.changes() == before


@pytest.mark.parametrize("path", ["/v1/session", "/v1/watch", "/v1/observe"])
def test_broken_websocket_frames_end_only_their_connection(server: Server, path: str) -> None:
    async def talk() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", URL(server.url).port)
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"\xff\xff\xff\xff" * 64)
        await reader.read()
        writer.close()
        await writer.wait_closed()

    server.loop.run_until_complete(soon(talk()))
    assert server.request("GET", f"{server.url}/v1/status") == 200


def test_a_passive_whose_active_is_gone_answers_503(server: Server) -> None:
    """It is not a 500 either: no process listens at the address of the member that leads."""
    server.service.become(Role.PASSIVE, leader=member("b"))
    body = b'{"commands":[{"id":"late","op":"despawn","entity":1}]}'
    assert server.request("POST", f"{server.url}/v1/commands", body) == 503
    server.service.become(Role.ACTIVE)
