"""Refuses requests that are meant for another area or process, with status 421 ("Misdirected Request", RFC 9110).

A process may be given another area, and an address may be given to another process. So a client can say in a header
for whom its request is meant:

- `Pairsim-Area`: a process that has another area, or none, refuses. WebSockets end when the process changes its area,
  and commands that were held for the old area are not sent to the new one.
- `Pairsim-Replica`: a process with another name refuses. A client that follows a process by an address that is out of
  date, as a pod's is after its machine restarted, must neither take another process's status for the one that it
  follows, nor give its orders to that process.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from pairsim.model.status import ReplicaStatus
from pairsim.protocol.frames import AREA_HEADER, REPLICA_HEADER
from pairsim.server.http.errors import HttpError

MISDIRECTED = 421


def require_area(status: Callable[[], ReplicaStatus]) -> Middleware:
    """Returns a middleware that refuses requests for another area than the process has.

    A request for the area that the process is about to simulate, or could not simulate, is answered with the reason.

    Args:
        status: Returns the status of the process.
    """

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        wanted = request.headers.get(AREA_HEADER)
        if wanted is not None:
            current = status()
            if current.area != wanted:
                state = current.simulator
                if state is not None and state.area == wanted:
                    raise HttpError(MISDIRECTED, f"{current.replica} {state.predicate}")
                has = f"simulates {current.area}" if current.area else "is a spare"
                raise HttpError(MISDIRECTED, f"this process {has}, not {wanted}: ask another one")
        return await handler(request)

    return check


def require_process(name: Callable[[], str]) -> Middleware:
    """Returns a middleware that refuses requests for another process.

    Args:
        name: Returns the name of this process.
    """

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        wanted = request.headers.get(REPLICA_HEADER)
        if wanted is not None and wanted != (own := name()):
            raise HttpError(MISDIRECTED, f"this process is {own}, not {wanted}, which had its address once")
        return await handler(request)

    return check
