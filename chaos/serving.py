"""A probe that stays, and its verdict over HTTP: `GET /verdict` is 200 while everything holds, and 503 with the reason.

Chaos Mesh's `StatusCheck` reads no body, so the verdict has to be the status. Once something that must never be has
been seen, it stays 503 until the probe is started anew: what was lost does not come back.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import msgspec
from aiohttp import web

from chaos.probe.probe import Probe
from chaos.scene import World, WorldError
from chaos.verdict.judging import Check, checks

_COMPARE_EVERY = 5.0
_AGAIN = 2.0


class Standing:
    """Of a world, as far as it is known."""

    def __init__(self) -> None:
        """Nothing is known yet, which is no good verdict."""
        self.reason = "nothing was compared yet"
        self.checks: tuple[Check, ...] = ()
        self._spoilt: dict[str, str] = {}

    def compared(self, found: tuple[Check, ...], broken: str) -> None:
        """What a comparison showed, and what does not hold right now."""
        self.checks = found
        for check in self.checks:
            if check.violated:
                self._spoilt.setdefault(check.name, check.reasons[0])
        self.reason = next(iter(f"{name}: {why}" for name, why in self._spoilt.items()), broken)

    def unknown(self, reason: str) -> None:
        """The world could not be looked at."""
        self.reason = next(iter(self._spoilt.values()), reason)


class VerdictServer:
    """Probes a world as long as the application runs."""

    def __init__(self, world: World) -> None:
        """The world has to be open."""
        self._world = world
        self._standing = Standing()

    def app(self) -> web.Application:
        """The application."""
        app = web.Application()
        app.add_routes([web.get("/verdict", self._verdict), web.get("/livez", self._live)])
        app.cleanup_ctx.append(self._running)
        return app

    async def _running(self, _app: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(self._probe())
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def _probe(self) -> None:
        while True:
            try:
                async with Probe(self._world) as probe:
                    while {place.area for place in probe.scene.places} == probe.areas:
                        await asyncio.sleep(_COMPARE_EVERY)
                        found = await probe.findings()
                        broken = probe.broken() or ("" if found else "the world has no areas")
                        self._standing.compared(checks(found, ""), broken)
            except WorldError as error:
                self._standing.unknown(str(error))
            await asyncio.sleep(_AGAIN)  # other areas: they are probed from the beginning

    async def _verdict(self, _request: web.Request) -> web.Response:
        standing = self._standing
        body = msgspec.json.encode({"held": not standing.reason, "reason": standing.reason, "checks": standing.checks})
        return web.json_response(body=body, status=503 if standing.reason else 200)

    async def _live(self, _request: web.Request) -> web.Response:
        return web.Response(text="alive\n")
