"""`GET /v1/locate/{entity}`: the area that has an entity, as one replica knows it.

A replica knows its own entities, those that wait in the outboxes of its area, and those that left in the newest ticks.
Of an entity that left it names the area that the entity went to.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

from pairsim.model.commands import MAX_ENTITY
from pairsim.protocol.bounds import POSITION
from pairsim.protocol.frames import LocateAnswer
from pairsim.replication.service import CommittedArea, ReplicaService
from pairsim.server.http.errors import HttpError
from pairsim.server.http.requests import BoundedExecutor, parse_int, reject_unknown_query

if TYPE_CHECKING:
    from pairsim.model.borders import BorderState

_READ_SECONDS = 2.0
_ANSWER_SECONDS = 1.0
"""How much longer the handler waits than the replica may take, so that the replica's own sentence arrives."""


class LocateHandler:
    """The handler; a look runs in a thread, on the state of one tick."""

    def __init__(self, service: ReplicaService, executor: BoundedExecutor) -> None:
        self._service, self._executor = service, executor

    async def handle(self, request: web.Request) -> web.Response:
        """Handles `GET /v1/locate/{entity}`."""
        reject_unknown_query(request)
        entity = parse_int(request.match_info["entity"], "an entity's id")
        if not 0 <= entity <= MAX_ENTITY:
            raise HttpError(400, "an entity's id must be a whole number from 0 to 2**63 - 1")
        status = self._service.status()
        query = functools.partial(locate_in_area, entity, status.plane, status.area)
        read = functools.partial(self._service.read_area, query, _READ_SECONDS)
        found = await self._executor.run(read, _READ_SECONDS + _ANSWER_SECONDS)
        if isinstance(found, str):
            raise HttpError(404, found)
        return web.Response(body=msgspec.json.encode(found), content_type="application/json")


def locate_in_area(entity: int, plane: str, area: str, state: CommittedArea) -> LocateAnswer | str:
    """Returns where an entity is, or a sentence if the area does not know it.

    Args:
        entity: The id of the entity.
        plane: The plane of the area.
        area: The name of the area.
        state: The state of the area.
    """
    table, borders, tick = state.table, state.borders, state.published.tick
    cells = {cell.number: cell for cell in borders.map.cells}

    def urls(number: int) -> list[str]:
        return [replica.url for replica in cells[number].replicas] if number in cells else []

    rows = (table.ids == entity).nonzero()[0]
    if len(rows):
        position = table.columns().get(POSITION)
        place = None if position is None else position[int(rows[0])].reshape(-1).tolist()
        number = borders.number
        return LocateAnswer(entity, plane, area, number, False, tick, borders.clock, place, urls(number))
    there = _where_it_went(borders, entity)
    if there is None:
        return (
            f"{area} has no entity {entity}, and does not remember that it left: ask the controller or `pairsim up`"
            f" (GET /v1/locate/{entity}), which ask all areas"
        )
    if not there:
        return f"entity {entity} was removed from {area} in one of the newest ticks"
    name = cells[there].area if there in cells else ""
    return LocateAnswer(entity, plane, name, there, True, tick, borders.clock, None, urls(there))


def _where_it_went(borders: BorderState, entity: int) -> int | None:
    """Returns the number of the area that an entity went to, 0 if it was removed; None if that is not known."""
    import numpy as np  # noqa: PLC0415 - a spare must stay small

    wanted = np.array([entity], np.int64)
    for number, link in borders.links.items():
        if link.waits(wanted)[0]:
            return number
    for tick in reversed(borders.departures.ticks):
        places = np.flatnonzero(tick.ids == entity)
        if len(places):
            return int(tick.areas[places[-1]])
    return None
