"""Answers of the servers that serve the console: bodies are small, and every error is JSON with a sentence."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping

import msgspec
from aiohttp import web
from aiohttp.typedefs import Middleware

from pairsim.client import ClientError
from pairsim.server.http.errors import answer_errors

MAX_BODY_BYTES = 4096


def answer_console_errors(unknown_path: str) -> Middleware:
    """Returns a middleware that answers every error as JSON with a sentence that names the request.

    Args:
        unknown_path: What a user of an unknown path reads.
    """
    prefix = "{method} {path}: "
    return answer_errors(
        sentences={
            404: f"{prefix}{unknown_path}",
            405: f"{prefix}Method Not Allowed",
            413: f"{prefix}a request body has at most {MAX_BODY_BYTES} bytes",
        }
    )


def error_response(status: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Returns a JSON response `{"error": message}`."""
    return web.json_response({"error": message}, status=status, headers=headers)


async def answer_of_active(answer: Awaitable[msgspec.Struct]) -> web.Response:
    """Returns the answer of an active to a request of a user, or its refusal."""
    try:
        return web.json_response(body=msgspec.json.encode(await answer))
    except ClientError as error:
        return error_response(409, str(error))
