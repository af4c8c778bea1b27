"""Protection of an API on loopback against web pages of other origins, and the reading of its requests.

A page of another origin must not control the world. Requests that change something need the content type
application/json, which a browser does not send to another origin without a preflight. Requests for other host names are
refused, which stops DNS rebinding.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import msgspec
from aiohttp import web
from aiohttp.typedefs import Middleware

T = TypeVar("T")

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
        except web.HTTPException as error:
            message = {**_MESSAGES, **messages}.get(error.status, error.reason)
            return error_response(error.status, f"{request.method} {request.path}: {message}")

    return check_host


async def read_json(request: web.Request, kind: type[T]) -> T | web.Response:
    """Returns the body of a request as `kind`, or the response that explains the mistake in it."""
    if request.content_type != "application/json":
        return error_response(415, "send the request as application/json")
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except msgspec.MsgspecError as error:
        return error_response(400, f"not a valid request: {error}")


def error_response(status: int, message: str) -> web.Response:
    """Returns a JSON response `{"error": message}`."""
    return web.json_response({"error": message}, status=status)
