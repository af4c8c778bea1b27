"""Requests that are meant for one area or process: a process may be given another area, and an address another process.

A client that names its area (header `Pairsim-Area`) is never served from another: a process that has it not answers
421. WebSockets end when the process changes its area, and what was held for the old one is not sent to the new.

The same for the process itself (header `Pairsim-Replica`): whoever follows it by an address that is out of date, as a
pod's is after its machine restarted, must not take another one's word for its own, nor give that one its orders.
"""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from pairsim.protocol.frames import AREA_HEADER, REPLICA_HEADER
from pairsim.replication.service import ReplicaService, WitnessService
from pairsim.server.http.errors import HttpError

MISDIRECTED = 421


def only_own_area(port: ReplicaService) -> Middleware:
    """Refuses what names another area than the process has."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        wanted = request.headers.get(AREA_HEADER)
        if wanted is not None:
            area = port.status().area
            if area != wanted:
                has = f"simulates {area}" if area else "is a spare"
                raise HttpError(MISDIRECTED, f"this process {has}, not {wanted}: ask another one")
        return await handler(request)

    return check


def only_this_process(port: ReplicaService | WitnessService) -> Middleware:
    """Refuses what names another process."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        wanted = request.headers.get(REPLICA_HEADER)
        if wanted is not None and wanted != (name := port.status().replica):
            raise HttpError(MISDIRECTED, f"this process is {name}, not {wanted}, which had its address once")
        return await handler(request)

    return check
