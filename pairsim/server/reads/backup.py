"""`GET /v1/backup`: everything in an area at one committed tick, as the commands that make it again.

One `spawn` an entity as a line of JSON, in the order of the rows, gzipped: `pairsim send --file` restores it, and
nobody needs to know how a state is kept here. The state is copied at once and written while the area ticks on.
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
from pairsim.server.http.requests import Blocking, takes

if TYPE_CHECKING:
    from pairsim.model.state.table import Table

log = structlog.get_logger()

READ_SECONDS = 5.0
_PIECE_SECONDS = 30.0
_ROWS = 2_000
_LEVEL = 1
_GZIP = 31
"""zlib's way to say: the largest window, with gzip's head and checksum."""


class BackupHandler:
    """One backup at a time: each holds a copy of the area."""

    def __init__(self, port: ReplicaService, blocking: Blocking) -> None:
        self._port, self._blocking = port, blocking
        self._busy = False

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """`GET /v1/backup?area=NAME`."""
        takes(request, "area")
        area, mine = request.query.get("area", ""), self._port.status().area
        if not area:
            raise HttpError(400, "the query needs area=, the area to back up")
        if area != mine:
            raise HttpError(421, f"this process has {mine or 'no area'}, not {area}: ask another one")
        if self._busy:
            raise HttpError(503, "a backup is being made already: try again when it is done")
        self._busy = True
        try:
            return await self._send(request)
        finally:
            self._busy = False

    async def _send(self, request: web.Request) -> web.StreamResponse:
        read = functools.partial(self._port.read, _copied, READ_SECONDS)
        table, published = await self._blocking.run(read, READ_SECONDS + 1.0)
        answer = web.StreamResponse(headers={TICK_HEADER: str(published.tick), ENTITIES_HEADER: str(len(table))})
        answer.content_type = "application/gzip"
        await answer.prepare(request)
        pieces = packed(table, published.tick)
        try:
            while piece := await self._blocking.run(functools.partial(next, pieces, b""), _PIECE_SECONDS):
                async with asyncio.timeout(_PIECE_SECONDS):
                    await answer.write(piece)
        except (TimeoutError, ConnectionError, HttpError) as error:
            # Half of it is told already: the connection is cut, so that it cannot be taken for whole.
            log.warning("a backup was not read to its end", area=self._port.status().area, reason=str(error))
            if request.transport is not None:
                request.transport.abort()
        return answer


def packed(table: Table, tick: int) -> Iterator[bytes]:
    """The lines, gzipped; no piece is empty. A number that is not finite stands as null, which no command takes."""
    gzip = zlib.compressobj(_LEVEL, wbits=_GZIP)
    for first in range(0, len(table), _ROWS):
        rows = slice(first, first + _ROWS)
        names = list(table.columns())
        columns = [column[rows].tolist() for column in table.columns().values()]
        lines = [
            Command(f"t{tick}-{entity}", "spawn", entity, dict(zip(names, row, strict=True)))
            for entity, *row in zip(table.ids[rows].tolist(), *columns, strict=True)
        ]
        if piece := gzip.compress(msgspec.json.Encoder().encode_lines(lines)):
            yield piece
    yield gzip.flush()


def _copied(table: Table, published: Published) -> tuple[Table, Published]:
    return table.copy(), published
