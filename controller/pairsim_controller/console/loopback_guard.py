"""Who may give orders to an API on loopback, and how they are read.

A web page of somebody else must not give them: orders need the content type application/json, which a page cannot send
to another origin unasked, and requests for other host names are refused (DNS rebinding).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import msgspec
from aiohttp import web
from aiohttp.typedefs import Middleware

T = TypeVar("T")

MAX_BODY = 4096
_SENTENCES = {413: f"an order has at most {MAX_BODY} bytes"}


def guard(hosts: frozenset[str], whose: str, sentences: Mapping[int, str]) -> Middleware:
    """Lets only requests for these host names through, and tells every error as a sentence.

    Args:
        hosts: Names that it is reached by.
        whose: Who refuses, in a sentence.
        sentences: What to say for an HTTP status.
    """
    known = {host.lower() for host in hosts}

    @web.middleware
    async def guarding(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        named = request.host.lower()
        if named.rpartition(":")[0] not in known and named not in known:
            return problem(403, f"{whose} does not answer as {request.host}")
        try:
            return await handler(request)
        except web.HTTPException as error:
            said = {**_SENTENCES, **sentences}.get(error.status, error.reason)
            return problem(error.status, f"{request.method} {request.path}: {said}")

    return guarding


async def order(request: web.Request, kind: type[T]) -> T | web.Response:
    """The order that a request brings, or why it is none."""
    if request.content_type != "application/json":
        return problem(415, "orders are sent as application/json")
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except msgspec.MsgspecError as error:
        return problem(400, f"this is no order: {error}")


def problem(status: int, sentence: str) -> web.Response:
    """An answer that is no success."""
    return web.json_response({"error": sentence}, status=status)
