"""Protection of an API on loopback against web pages of other origins.

A page of another origin must not control the world. Requests that change something need the content type
application/json, which a browser does not send to another origin without a preflight: handlers read them with
`pairsim.server.http.requests.read_json`. Requests for other host names are refused, which stops DNS rebinding.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web
from aiohttp.typedefs import Middleware

from pairsim.server.http.errors import HttpError

MAX_BODY_BYTES = 4096
_MESSAGES = {413: f"a request body has at most {MAX_BODY_BYTES} bytes"}


def loopback_guard(hosts: frozenset[str], server: str, messages: Mapping[int, str]) -> Middleware:
    """Returns a middleware that refuses other host names and answers every error as JSON with a sentence.

    Args:
        hosts: The host names that clients reach the server by.
        server: What refuses, as the subject of a sentence.
        messages: The sentence for an HTTP status; other statuses get their standard reason.
    """
    known = {host.lower() for host in hosts}

    @web.middleware
    async def check_host(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        host = request.host.lower()
        if host.rpartition(":")[0] not in known and host not in known:
            return error_response(403, f"{server} does not answer as {request.host}")
        try:
            return await handler(request)
        except HttpError as error:
            headers = {"Retry-After": str(error.retry_after)} if error.retry else None
            return error_response(error.status, error.sentence, headers)
        except web.HTTPException as error:
            message = {**_MESSAGES, **messages}.get(error.status, error.reason)
            return error_response(error.status, f"{request.method} {request.path}: {message}")

    return check_host


def error_response(status: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Returns a JSON response `{"error": message}`."""
    return web.json_response({"error": message}, status=status, headers=headers)
