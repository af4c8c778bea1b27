"""`GET /v1/locate/{entity}` for the whole world: the areas are asked, a bounded number of questions at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
from aiohttp import web

from pairsim.client import RequestRefused, Unavailable
from pairsim.client.http import HttpClient
from pairsim.client.locating import locate
from pairsim.model.authority import WorldMap
from pairsim.model.commands import MAX_ENTITY
from pairsim_controller.console.responses import error_response

_SECONDS = 2.0
_AT_ONCE = 16
_RETRY = {"Retry-After": "1"}


class Locator:
    """The handler."""

    def __init__(self, maps: Callable[[], WorldMap | None], without: str = "") -> None:
        """Opens nothing yet.

        Args:
            maps: Returns the newest maps of all planes; None if this process does not know them.
            without: The sentence for a user without a map.
        """
        self._maps, self._without = maps, without
        self._http: HttpClient | None = None
        self._under_way = 0

    def add_to(self, app: web.Application) -> None:
        """Adds the route to an application, and closes the connections with it."""
        app.router.add_get("/v1/locate/{entity}", self.handle)
        app.on_cleanup.append(self._close)

    async def handle(self, request: web.Request) -> web.Response:
        """Answers one question."""
        text = request.match_info["entity"]
        if not text.isascii() or not text.isdecimal() or int(text[:20]) > MAX_ENTITY:
            return error_response(400, "an entity's id must be a whole number from 0 to 2**63 - 1")
        maps = self._maps()
        if maps is None:
            return error_response(503, self._without, _RETRY)
        if self._under_way >= _AT_ONCE:
            return error_response(503, f"{_AT_ONCE} other questions are under way: try again", _RETRY)
        cells = [cell for plane in maps.planes for cell in plane.cells]
        if self._http is None:
            self._http = HttpClient()
        self._under_way += 1
        try:
            found = await locate(self._http, cells, int(text), _SECONDS)
        except RequestRefused as error:
            return error_response(error.status, str(error))
        except Unavailable as error:
            return error_response(503, str(error), _RETRY)
        finally:
            self._under_way -= 1
        if found is None:
            return error_response(404, f"no area of the world has entity {text}: it was removed, or never spawned")
        return web.json_response(body=msgspec.json.encode(found))

    async def _close(self, _app: web.Application) -> None:
        http, self._http = self._http, None
        if http is not None:
            await asyncio.shield(http.close())
