"""The WebSockets: what they say, and the codes that they close with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
from aiohttp import ClientSession as Client
from aiohttp import ClientWebSocketResponse, WSMsgType, web

from tests.contract import examples, product
from tests.contract.shapes import shape

_REFUSED = (
    ("/v1/observe?hz=0", {}),
    ("/v1/observe?hz=61", {}),
    ("/v1/observe?hz=x", {}),
    ("/v1/observe?components=nothing", {}),
    ("/v1/observe?min=0,0", {}),
    ("/v1/observe?boks=1", {}),
    ("/v1/observe", {"Pairsim-Area": "west"}),
    ("/v1/session", {"Pairsim-Area": "west"}),
    ("/v1/watch", {"Pairsim-Replica": "z"}),
    ("/v1/status", {}),
    ("/nothing", {}),
)


@asynccontextmanager
async def _client(app: web.Application) -> AsyncIterator[Client]:
    async with product.served(app) as url, Client(url, timeout=aiohttp.ClientTimeout(10)) as client:
        yield client


async def _message(socket: ClientWebSocketResponse) -> object:
    """Returns the next message as a shape with its form, or how the socket was closed."""
    message = await socket.receive(5.0)
    if message.type is WSMsgType.BINARY:
        said = msgspec.msgpack.decode(message.data)
        code = {"code": said["code"]} if "code" in said else {}
        return {"MessagePack": shape(said), **code}
    if message.type is WSMsgType.TEXT:
        return {"JSON": shape(msgspec.json.decode(message.data))}
    assert message.type in {WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.CLOSING}, message
    return {"closed": socket.close_code}


async def streams(folder: Path) -> dict[str, object]:
    """Returns what each kind of WebSocket says in some situations."""
    async with _client(product.simulator("spare")) as spare:
        refused = {"/v1/observe of a spare": await _refusal(spare, "/v1/observe", {})}
    async with _client(product.observed().app) as client:
        refused |= {f"{path} {headers or ''}".strip(): await _refusal(client, path, headers)
                    for path, headers in _REFUSED}  # fmt: skip
    found: dict[str, object] = {
        "refused": refused,
        "session": await _session(),
        "observe": await _observe(),
        "watch": {
            "simulator": await _first(product.simulator(), "/v1/watch"),
            "witness": await _first(product.witness(), "/v1/watch"),
        },
        "console of a controller": await _first(product.controller_console(), "/v1/console"),
    }
    async with product.local_world(folder) as made:
        async with asyncio.timeout(10):
            while not made.announced:  # the history has an entry
                await asyncio.sleep(0.005)
        found["console of a local world"] = await _first(product.local_service(made.world), "/v1/console")
    return found


async def _refusal(client: Client, path: str, headers: dict[str, str]) -> int:
    try:
        socket = await client.ws_connect(path, headers=headers)
    except aiohttp.WSServerHandshakeError as error:
        return error.status
    await socket.close()
    return 101


async def _first(app: web.Application, path: str) -> object:
    async with _client(app) as client, client.ws_connect(path) as socket:
        return await _message(socket)


async def _session() -> dict[str, object]:
    made = product.observed()
    good = {"seq": 1, "commands": [examples.COMMAND]}
    found: dict[str, object] = {}
    async with _client(made.app) as client:
        async with client.ws_connect("/v1/session") as socket:
            for name, batch in {
                "good": good,
                "again": good | {"seq": 2},
                "unknown op": {"seq": 3, "commands": [examples.COMMAND | {"id": "c2", "op": "nothing"}]},
                "empty": {"seq": 4, "commands": []},
            }.items():
                await socket.send_bytes(msgspec.msgpack.encode(batch))
                found[name] = await _message(socket)
        for name, data in {"no MessagePack": b"\xc1", "unknown key": msgspec.msgpack.encode({"no": 1})}.items():
            async with client.ws_connect("/v1/session") as socket:
                await socket.send_bytes(data)
                found[name] = await _message(socket)
        async with client.ws_connect("/v1/session") as socket:
            await socket.send_str("{}")
            found["a text"] = await _message(socket)
    async with _client(product.simulator(change=product.full)) as client, client.ws_connect("/v1/session") as socket:
        await socket.send_bytes(msgspec.msgpack.encode(good))
        found["full inbox"] = await _message(socket)
    async with _client(product.simulator("spare")) as client, client.ws_connect("/v1/session") as socket:
        await socket.send_bytes(msgspec.msgpack.encode(good))
        found["spare"] = await _message(socket)
    return found


async def _observe() -> dict[str, object]:
    made = product.observed()
    path = "/v1/observe?min=0,0&max=1,1&components=position,mass&hz=60"
    async with _client(made.app) as client, client.ws_connect(path) as socket:
        session = await client.ws_connect("/v1/session")
        found = {"keyframe": await _message(socket)}
        made.change()
        found["enters, moves and leaves"] = await _message(socket)
        made.move()
        found["another area: observe"] = await _message(socket)
        found["another area: session"] = await _message(session)
    async with Client(timeout=aiohttp.ClientTimeout(10)) as client:
        async with product.served(product.simulator()) as url:
            socket = await client.ws_connect(f"{url}/v1/observe")
            await socket.receive(5.0)
            reading = asyncio.create_task(_message(socket))
        found["the process stops"] = await reading
    return found
