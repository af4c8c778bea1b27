"""A probe that runs permanently and serves its verdict over HTTP.

`GET /verdict` answers 200 while everything holds, and 503 with the reason otherwise. Chaos Mesh's `StatusCheck` does
not read bodies, so the status has to carry the verdict: 200 means that all invariants were checked recently and held.
After a violation the status stays 503 until the probe is restarted, because lost commands do not come back.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import msgspec
from aiohttp import web

from pairsim_chaos.probe.probe import Probe
from pairsim_chaos.target import Target, WorldError
from pairsim_chaos.verdict.checks import Check, checks

_COMPARE_SECONDS = 5.0
_RETRY_SECONDS = 2.0
FRESH_SECONDS = 30.0
"""How long a comparison stays valid; a slow comparison takes 10 s if it has to wait for a replica."""


class LiveVerdict:
    """The verdict on a world from the comparisons of its state so far; sans-I/O."""

    def __init__(self) -> None:
        """Creates a verdict without a comparison, which counts as not good."""
        self.checks: tuple[Check, ...] = ()
        self._compared_at = 0.0
        self._unknown = "nothing was compared yet"
        self._violated: dict[str, str] = {}

    def on_compared(self, found: tuple[Check, ...], now: float) -> None:
        """Takes the checks of a comparison that has just ended."""
        self.checks, self._compared_at, self._unknown = found, now, ""
        for check in found:
            if check.violated:
                self._violated.setdefault(check.name, f"{check.name}: {check.reasons[0]}")

    def on_unreachable(self, reason: str) -> None:
        """Notes that the world could not be observed."""
        self._unknown = reason

    def reason(self, violation: str, now: float) -> str:
        """Returns why the verdict is bad; empty if everything holds.

        Args:
            violation: An invariant that is violated at this moment without a comparison; empty if all hold.
            now: Seconds of the clock that `on_compared` uses.
        """
        age = now - self._compared_at
        return (
            next(iter(self._violated.values()), "")
            or violation
            or self._unknown
            or (f"nothing was compared for {age:.0f} s" if age > FRESH_SECONDS else "")
            or next((f"{each.name}: {each.reasons[0]}" for each in self.checks if not each.held), "")
        )


class VerdictServer:
    """Probes a target as long as its application runs."""

    def __init__(self, target: Target) -> None:
        """Creates a server for a target that is already open."""
        self._target = target
        self._verdict = LiveVerdict()
        self._probe: Probe | None = None

    def app(self) -> web.Application:
        """Returns the application; it starts the probe and stops it at shutdown."""
        app = web.Application()
        app.add_routes([web.get("/verdict", self._get_verdict), web.get("/livez", self._get_livez)])
        app.cleanup_ctx.append(self._lifespan)
        return app

    async def _lifespan(self, _app: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(self._run())
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def _run(self) -> None:
        while True:
            try:
                async with Probe(self._target) as probe:
                    await self._compare(probe)
            except WorldError as error:
                self._verdict.on_unreachable(str(error))
            await asyncio.sleep(_RETRY_SECONDS)  # a new probe starts with the current areas

    async def _compare(self, probe: Probe) -> None:
        """Compares the state periodically as long as the world has the same areas."""
        self._probe = probe
        try:
            while {view.area for view in probe.snapshot.areas} == probe.areas:
                await asyncio.sleep(_COMPARE_SECONDS)
                probe.check_running()
                self._verdict.on_compared(checks(await probe.findings(), ""), asyncio.get_running_loop().time())
        finally:
            self._probe = None

    async def _get_verdict(self, _request: web.Request) -> web.Response:
        violation = self._probe.current_violation() if self._probe is not None else ""
        reason = self._verdict.reason(violation, asyncio.get_running_loop().time())
        body = msgspec.json.encode({"held": not reason, "reason": reason, "checks": self._verdict.checks})
        return web.json_response(body=body, status=503 if reason else 200)

    async def _get_livez(self, _request: web.Request) -> web.Response:
        return web.Response(text="alive\n")
