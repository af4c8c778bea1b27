"""Bearer tokens: control paths are open to the controller alone."""

from __future__ import annotations

import hmac

from aiohttp import web

from pairsim.server.http.errors import Handler, HttpError


def has_token(request: web.Request, token: str) -> bool:
    """Returns whether the request carries the token."""
    try:
        require_token(request, token)
    except HttpError:
        return False
    return True


def require_token(request: web.Request, token: str) -> None:
    """Lets the request pass if it carries the token.

    Raises:
        HttpError: 401 without a bearer token, 403 with another one.
    """
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not given:
        raise HttpError(401, f"{request.path} takes a token: send the header 'Authorization: Bearer TOKEN'")
    if not hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), token.encode()):
        raise HttpError(403, f"this token does not open {request.path}")


def guarded(token: str, handler: Handler) -> Handler:
    """Returns a handler that calls the given one only for requests with the token."""

    async def guard(request: web.Request) -> web.StreamResponse:
        require_token(request, token)
        return await handler(request)

    return guard
