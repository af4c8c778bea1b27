"""A probe that stays, and its verdict over HTTP: `GET /verdict` is 200 while everything holds, and 503 with the reason.

Chaos Mesh's `StatusCheck` reads no body, so the verdict has to be the status: 200 means that everything was looked at
a moment ago, and was right. Once something that must never be has been seen, it stays 503 until the probe is started
anew: what was lost does not come back.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import msgspec
from aiohttp import web

from pairsim_chaos.probe.probe import Probe
from pairsim_chaos.target import World, WorldError
from pairsim_chaos.verdict.checks import Check, checks

_COMPARE_EVERY = 5.0
_AGAIN = 2.0
FRESH = 30.0
"""Seconds for which a comparison is good; a slow one takes 10 s if a replica has to be waited for."""


class Standing:
    """Of a world, as far as comparisons of its state show it; sans-I/O."""

    def __init__(self) -> None:
        """Nothing is known yet, which is no good verdict."""
        self.checks: tuple[Check, ...] = ()
        self._at = 0.0
        self._unknown = "nothing was compared yet"
        self._spoilt: dict[str, str] = {}

    def compared(self, found: tuple[Check, ...], now: float) -> None:
        """What a comparison showed that ended now."""
        self.checks, self._at, self._unknown = found, now, ""
        for check in found:
            if check.violated:
                self._spoilt.setdefault(check.name, f"{check.name}: {check.reasons[0]}")

    def unknown(self, reason: str) -> None:
        """The world could not be looked at."""
        self._unknown = reason

    def reason(self, broken: str, now: float) -> str:
        """Why not everything holds; empty if it does.

        Args:
            broken: What does not hold at this moment, as far as it shows without a comparison.
            now: In seconds of the clock that comparisons are told with.
        """
        old = now - self._at
        return (
            next(iter(self._spoilt.values()), "")
            or broken
            or self._unknown
            or (f"nothing was compared for {old:.0f} s" if old > FRESH else "")
            or next((f"{each.name}: {each.reasons[0]}" for each in self.checks if not each.held), "")
        )


class VerdictServer:
    """Probes a world as long as the application runs."""

    def __init__(self, world: World) -> None:
        """The world has to be open."""
        self._world = world
        self._standing = Standing()
        self._probe: Probe | None = None

    def app(self) -> web.Application:
        """The application."""
        app = web.Application()
        app.add_routes([web.get("/verdict", self._verdict), web.get("/livez", self._live)])
        app.cleanup_ctx.append(self._running)
        return app

    async def _running(self, _app: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(self._run())
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def _run(self) -> None:
        while True:
            try:
                async with Probe(self._world) as probe:
                    await self._compare(probe)
            except WorldError as error:
                self._standing.unknown(str(error))
            await asyncio.sleep(_AGAIN)  # other areas: they are probed from the beginning

    async def _compare(self, probe: Probe) -> None:
        """As long as the world has the same areas."""
        self._probe = probe
        try:
            while {place.area for place in probe.scene.places} == probe.areas:
                await asyncio.sleep(_COMPARE_EVERY)
                self._standing.compared(checks(await probe.findings(), ""), asyncio.get_running_loop().time())
        finally:
            self._probe = None

    async def _verdict(self, _request: web.Request) -> web.Response:
        broken = self._probe.broken() if self._probe is not None else ""
        reason = self._standing.reason(broken, asyncio.get_running_loop().time())
        body = msgspec.json.encode({"held": not reason, "reason": reason, "checks": self._standing.checks})
        return web.json_response(body=body, status=503 if reason else 200)

    async def _live(self, _request: web.Request) -> web.Response:
        return web.Response(text="alive\n")
