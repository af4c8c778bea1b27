"""`GET /v1/backup`: everything in an area at one committed tick, as the commands that restore it.

A backup has one line of JSON for each entity, a `spawn` command, in the order of the table's rows, and is compressed
with gzip. `pairsim send --file` restores it, so the format does not depend on how a replica keeps its state. The state
is copied at once and written while the area ticks on.
"""

from __future__ import annotations

import asyncio
import functools
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec
import structlog
from aiohttp import web

from pairsim.model.commands import Command
from pairsim.protocol.frames import ENTITIES_HEADER, TICK_HEADER
from pairsim.replication.service import Published, ReplicaService
from pairsim.server.http.errors import HttpError
from pairsim.server.http.misdirected import MISDIRECTED
from pairsim.server.http.requests import BoundedExecutor, reject_unknown_query

if TYPE_CHECKING:
    from pairsim.model.state.table import TableView

log = structlog.get_logger()

READ_SECONDS = 5.0
_ANSWER_SECONDS = 1.0
"""How much longer the handler waits than the replica may take, so that the replica's own sentence arrives."""

_PIECE_SECONDS = 30.0
"""How long one piece may take to be made, and to be read by the client."""

_ROWS_PER_PIECE = 2_000
_COMPRESSION_LEVEL = 1
_GZIP_WBITS = 31
"""For zlib: the largest window, with gzip's header and checksum."""


class BackupHandler:
    """The handler of backups; it makes one at a time, because each holds a copy of the area."""

    def __init__(self, service: ReplicaService, executor: BoundedExecutor) -> None:
        self._service, self._executor = service, executor
        self._busy = False

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Handles `GET /v1/backup?area=NAME`."""
        reject_unknown_query(request, "area")
        area, own = request.query.get("area", ""), self._service.status().area
        if not area:
            raise HttpError(400, "the query needs area=, the area to back up")
        if area != own:
            raise HttpError(MISDIRECTED, f"this process has {own or 'no area'}, not {area}: ask another one")
        if self._busy:
            raise HttpError(503, "a backup is being made already: try again when it is done")
        self._busy = True
        try:
            return await self._send(request)
        finally:
            self._busy = False

    async def _send(self, request: web.Request) -> web.StreamResponse:
        read = functools.partial(self._service.read, _copy, READ_SECONDS)
        table, published = await self._executor.run(read, READ_SECONDS + _ANSWER_SECONDS)
        answer = web.StreamResponse(headers={TICK_HEADER: str(published.tick), ENTITIES_HEADER: str(len(table))})
        answer.content_type = "application/gzip"
        await answer.prepare(request)
        pieces = packed(table, published.tick)
        try:
            while piece := await self._executor.run(functools.partial(next, pieces, b""), _PIECE_SECONDS):
                async with asyncio.timeout(_PIECE_SECONDS):
                    await answer.write(piece)
        except (TimeoutError, ConnectionError, HttpError) as error:
            # Half of the answer is sent already: the connection is cut, so that it cannot be taken for a whole one.
            log.warning("backup interrupted", area=self._service.status().area, reason=str(error))
            if request.transport is not None:
                request.transport.abort()
        return answer


def packed(table: TableView, tick: int) -> Iterator[bytes]:
    """Yields the lines of a backup, compressed; no piece is empty.

    A number that is not finite is written as null, which no command accepts: JSON has no word for it.
    """
    gzip = zlib.compressobj(_COMPRESSION_LEVEL, wbits=_GZIP_WBITS)
    for first in range(0, len(table), _ROWS_PER_PIECE):
        rows = slice(first, first + _ROWS_PER_PIECE)
        names = list(table.columns())
        columns = [column[rows].tolist() for column in table.columns().values()]
        lines = [
            Command(f"t{tick}-{entity}", "spawn", entity, dict(zip(names, row, strict=True)))
            for entity, *row in zip(table.ids[rows].tolist(), *columns, strict=True)
        ]
        if piece := gzip.compress(msgspec.json.Encoder().encode_lines(lines)):
            yield piece
    yield gzip.flush()


def _copy(table: TableView, published: Published) -> tuple[TableView, Published]:
    return table.copy(), published
