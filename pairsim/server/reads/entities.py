"""`GET /v1/entities` and `GET /v1/entities/{id}`: the state at a committed tick, a page at a time."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, TypeVar

import msgspec
from aiohttp import web

from pairsim.model.commands import MAX_ENTITY, Value
from pairsim.protocol.frames import EntitiesAnswer, Entity, EntityAnswer
from pairsim.replication.service import Published, ReplicaService
from pairsim.server.http.errors import HttpError
from pairsim.server.http.requests import BoundedExecutor, parse_int, query_int, reject_unknown_query
from pairsim.server.reads.selection import Selection, parse_box

if TYPE_CHECKING:
    from collections.abc import Callable

    from pairsim.model.state.table import TableView

T = TypeVar("T")

READ_SECONDS = 2.0
MAX_PAGE = 10_000
_DEFAULT_PAGE = 100
_ANSWER_SECONDS = 1.0
"""How much longer a handler waits than the replica may take, so that the replica's own sentence arrives."""


class EntityHandlers:
    """The handlers of entities; each read runs in a thread, on the state of one tick."""

    def __init__(self, service: ReplicaService, executor: BoundedExecutor) -> None:
        self._service, self._executor = service, executor

    async def one(self, request: web.Request) -> web.Response:
        """Handles `GET /v1/entities/{id}`."""
        entity = parse_int(request.match_info["id"], "an entity's id")
        if not 0 <= entity <= MAX_ENTITY:
            raise HttpError(400, "an entity's id must be a whole number from 0 to 2**63 - 1")
        answer = await self._read(functools.partial(read_one, entity))
        if answer is None:
            raise HttpError(404, f"this area has no entity {entity}")
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")

    async def many(self, request: web.Request) -> web.Response:
        """Handles `GET /v1/entities?min=&max=&limit=&after=`."""
        reject_unknown_query(request, "min", "max", "limit", "after")
        limit = query_int(request, "limit", _DEFAULT_PAGE)
        if not 1 <= limit <= MAX_PAGE:
            raise HttpError(400, f"limit must be within 1 to {MAX_PAGE:,}")
        after = query_int(request, "after", -1)
        selection = Selection(parse_box(request), ())
        selection.check(self._service)
        body = await self._read(functools.partial(_encoded_page, selection, after, limit))
        return web.Response(body=body, content_type="application/json")

    async def _read(self, query: Callable[[TableView, Published], T]) -> T:
        read = functools.partial(self._service.read, query, READ_SECONDS)
        return await self._executor.run(read, READ_SECONDS + _ANSWER_SECONDS)


def read_one(entity: int, table: TableView, published: Published) -> EntityAnswer | None:
    """Returns an entity of the table, or None if the table does not have it.

    Searches the column of ids: for one entity that costs less than to build the table's index.
    """
    rows = (table.ids == entity).nonzero()[0]
    if not len(rows):
        return None
    row = int(rows[0])
    components: dict[str, Value] = {name: column[row].tolist() for name, column in table.columns().items()}
    return EntityAnswer(entity, published.tick, published.term, components)


def read_page(selection: Selection, after: int, limit: int, table: TableView, published: Published) -> EntitiesAnswer:
    """Returns the first `limit` entities of a selection with ids above `after`, ordered by id."""
    import numpy as np  # noqa: PLC0415 - a spare must stay small

    from pairsim.protocol.interest import rows_in_box  # noqa: PLC0415 - it imports numpy

    rows = rows_in_box(table, selection.box)
    rows = rows[table.ids[rows] > after]
    if len(rows) > limit + 1:
        rows = rows[np.argpartition(table.ids[rows], limit)[: limit + 1]]
    rows = rows[np.argsort(table.ids[rows])]
    more, rows = len(rows) > limit, rows[:limit]
    ids = table.ids[rows].tolist()
    columns = {name: column[rows].tolist() for name, column in table.columns().items()}
    entities = [Entity(entity, {name: column[i] for name, column in columns.items()}) for i, entity in enumerate(ids)]
    return EntitiesAnswer(published.tick, published.term, entities, ids[-1] if more else None)


def _encoded_page(selection: Selection, after: int, limit: int, table: TableView, published: Published) -> bytes:
    return msgspec.json.encode(read_page(selection, after, limit, table, published))
