"""One process that answers as thousands: they have addresses of their own, and share one socket and one port.

Whoever runs the trial talks to it at 127.0.0.1; see `_Trial`.
"""

from __future__ import annotations

import asyncio
import resource
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable

import click
import msgspec
from aiohttp import WSCloseCode, web

from pairsim.model.assignment import Assignment
from pairsim.model.authority import Authority
from pairsim.protocol.frames import SwitchoverAnswer
from tests.cluster.scale.names import places
from tests.cluster.scale.replicas import Fake, RefusedError, Replicas

_REFRESH_SECONDS = 1.0
_BACKLOG = 4096
_FILES = 10_000

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Lost(msgspec.Struct, frozen=True):
    """A loss: who was the active, who is, and when it was (Unix time)."""

    area: str
    old: str
    new: str
    at: float


class _Watchers:
    """Who follows which process."""

    def __init__(self) -> None:
        self._wake: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._transports: defaultdict[str, set[asyncio.Transport]] = defaultdict(set)

    def changed(self, fake: Fake) -> None:
        """It has something to say, or its connections break."""
        if not fake.alive:
            for transport in self._transports.pop(fake.place.address, set()):
                transport.abort()
        for event in self._wake[fake.place.address]:
            event.set()

    def connected(self, address: str, transport: asyncio.Transport) -> None:
        """A connection that breaks when its process dies."""
        self._transports[address].add(transport)

    async def follow(self, fake: Fake, socket: web.WebSocketResponse, status: Callable[[], bytes]) -> None:
        """Sends statuses: at once, on every change, every second."""
        address, event = fake.place.address, asyncio.Event()
        self._wake[address].add(event)
        try:
            while fake.alive and not socket.closed:
                event.clear()
                await socket.send_str(status().decode())
                try:
                    async with asyncio.timeout(_REFRESH_SECONDS):
                        await event.wait()
                except TimeoutError:
                    continue
        except ConnectionError:
            return  # the controller went
        finally:
            self._wake[address].discard(event)


class _Api:
    """What every replica and witness answers to the controller."""

    def __init__(self, replicas: Replicas, watchers: _Watchers, token: str) -> None:
        self._replicas, self._watchers, self._token = replicas, watchers, token

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/watch", self._watch),
            web.put("/v1/assignment", self._assign),
            web.delete("/v1/assignment", self._release),
            web.put("/v1/authority", self._authorise),
            web.post("/v1/switchover", self._switchover),
        ]

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Dead processes do not answer; requests without the token are refused."""
        if request.path.startswith("/trial/"):
            return await handler(request)
        fake, transport = self._fake(request), request.transport
        assert transport is not None
        if not fake.alive:
            transport.abort()
            raise web.HTTPServiceUnavailable
        self._watchers.connected(fake.place.address, transport)
        if request.headers.get("Authorization") != f"Bearer {self._token}":
            return web.json_response({"error": "this takes the token"}, status=403)
        return await handler(request)

    def _fake(self, request: web.Request) -> Fake:
        assert request.transport is not None
        return self._replicas.by_address[request.transport.get_extra_info("sockname")[0]]

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        fake = self._fake(request)
        socket = web.WebSocketResponse(heartbeat=None, compress=False)
        await socket.prepare(request)
        await self._watchers.follow(fake, socket, lambda: msgspec.json.encode(self._replicas.status(fake)))
        await socket.close(code=WSCloseCode.GOING_AWAY)
        return socket

    async def _assign(self, request: web.Request) -> web.Response:
        assignment = msgspec.json.decode(await request.read(), type=Assignment)
        try:
            self._replicas.assign(self._fake(request), assignment)
        except RefusedError as error:
            return web.json_response({"error": str(error)}, status=409)
        return web.Response(status=204)

    async def _authorise(self, request: web.Request) -> web.Response:
        authority = msgspec.json.decode(await request.read(), type=Authority)
        try:
            self._replicas.authorise(self._fake(request), authority)
        except RefusedError as error:
            return web.json_response({"error": str(error)}, status=421)
        return web.Response(status=204)

    async def _release(self, request: web.Request) -> web.Response:
        self._replicas.release(self._fake(request), request.query["area"])
        return web.Response(status=204)

    async def _switchover(self, request: web.Request) -> web.Response:
        try:
            term = self._replicas.switchover(self._fake(request))
        except RefusedError as error:
            return web.json_response({"error": str(error)}, status=421)
        return web.Response(body=msgspec.json.encode(SwitchoverAnswer(1.0, term)), content_type="application/json")


class _Trial:
    """The faults that the trial orders."""

    def __init__(self, replicas: Replicas) -> None:
        self._replicas = replicas

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/trial/lose", self._lose), web.post("/trial/revive", self._revive)]

    async def _lose(self, request: web.Request) -> web.Response:
        lost = []
        for area in await request.json():  # nothing else runs in between: they are lost at once
            at = time.time()
            old, new = self._replicas.lose_active(area)
            lost.append(Lost(area, old, new, at))
        return web.Response(body=msgspec.json.encode(lost), content_type="application/json")

    async def _revive(self, _request: web.Request) -> web.Response:
        return web.json_response(self._replicas.revive())


async def _serve(port: int, simulators: int, witnesses: int, token: str) -> None:
    watchers = _Watchers()
    replicas = Replicas(places(simulators, witnesses), watchers.changed)
    api = _Api(replicas, watchers, token)
    app = web.Application(middlewares=[api.guard])
    app.add_routes(api.routes() + _Trial(replicas).routes())
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    # Every address of 127.0.0.0/8 is this machine's, and none of them can be told to the kernel but all.
    await web.TCPSite(runner, "0.0.0.0", port, backlog=_BACKLOG).start()
    await asyncio.Event().wait()


@click.command()
@click.option("--port", type=int, required=True)
@click.option("--simulators", type=int, required=True)
@click.option("--witnesses", type=int, required=True)
@click.option("--token", envvar="TOKEN", required=True)
def main(port: int, simulators: int, witnesses: int, token: str) -> None:
    """Answers as so many processes until it is killed."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(_FILES, hard), hard))
    asyncio.run(_serve(port, simulators, witnesses, token))


if __name__ == "__main__":
    main()
