"""The console's page with a world that a test makes up: any areas and entities, without processes."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Sequence

from aiohttp import web

from pairsim.server.http.listener import serve_app
from pairsim_controller.console.page import add_page

Point = tuple[float, float]


def area(
    name: str, low: Point, high: Point, *, plane: str = "physics", redundant: bool = True, entities: int = 80
) -> dict[str, object]:
    """Returns the status of an area between two corners, as the console receives it."""
    replicas = [
        {
            "replica": f"sim-{name}-{number}", "role": role, "term": 3, "tick": 123_456, "lag_ticks": 0,
            "entities": entities, "url": "http://127.0.0.1:1", "pid": 4711, "divergences": 0, "outside": 0,
        }
        for number, role in ((1, "active"), (2, "passive"))
    ]  # fmt: skip
    return {
        "area": name, "plane": plane, "bounds": {"min": [*low, 0], "max": [*high, 50]}, "redundant": redundant,
        "generation": 2, "replicas": replicas, "witness": {"url": "", "pid": 4712, "name": "witness-1"},
        "missing": "" if redundant else f"sim-{name}-2, its passive, cannot be reached", "pace": 1.0, "slow": "",
    }  # fmt: skip


def neighbour(
    number: int, name: str, *, out: float = 0.0, came: float = 0.0, waiting: int = 0, seconds: float = 0.0
) -> dict[str, object]:
    """Returns the link to another area, as the status of an area has it."""
    return {
        "number": number, "area": name, "connected": True, "waiting": waiting, "waiting_seconds": seconds,
        "out_per_second": out, "in_per_second": came, "sent": 0, "taken": 0,
    }  # fmt: skip


def event(number: int, area_name: str) -> dict[str, object]:
    """Returns an event of the timeline: a takeover."""
    return {
        "number": number, "at": 1_790_000_000 + number, "area": area_name, "kind": "takeover", "replica": "sim-2",
        "before": "sim-1", "term": number, "tick": 100 * number, "seconds": 0,
        "about": "", "sentence": f"sim-2 is active in place of sim-1, in term {number} at tick {100 * number}",
    }  # fmt: skip


def sample(name: str, points: Sequence[Point], entities: int, *, unplaced: bool = False) -> dict[str, object]:
    """Returns a sample of an area's entities."""
    flat = [value for point in points for value in point]
    return {"kind": "sample", "area": name, "tick": 7, "points": flat, "entities": entities, "unplaced": unplaced}


class FakeWorld:
    """Serves the page and the same messages to every viewer.

    Attributes:
        port: The port on 127.0.0.1.
        refusal: What the world answers to requests of the page's buttons.
    """

    def __init__(
        self,
        areas: Sequence[dict[str, object]],
        samples: Sequence[dict[str, object]] = (),
        events: Sequence[dict[str, object]] = (),
        balances: Sequence[dict[str, object]] = (),
    ) -> None:
        """Starts to serve."""
        spare = {"url": "", "pid": 4713, "name": "sim-9"}
        world = {"areas": list(areas), "spares": [spare], "balances": list(balances)}
        first = {"kind": "world", "kill": True, "note": "", "world": world, "events": list(events)}
        self._messages = [json.dumps(message) for message in (first, *samples)]
        self.refusal = "west has no active at the moment: try again"
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    def close(self) -> None:
        """Stops to serve."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        self._loop.close()

    async def _serve(self) -> None:
        app = web.Application()
        add_page(app)
        app.router.add_get("/v1/console", self._feed)
        app.router.add_post("/v1/{action}", self._refuse)
        async with serve_app(app, "127.0.0.1:0", drain=0.1) as self.port:
            self._ready.set()
            await self._stop.wait()

    async def _feed(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for message in self._messages:
            await socket.send_str(message)
        async for _message in socket:
            pass
        return socket

    async def _refuse(self, _request: web.Request) -> web.Response:
        return web.json_response({"error": self.refusal}, status=409)
