"""Every way in which a request can fail, as an HTTP status with a sentence.

Handlers raise what they meet; one middleware turns it into the answer, so that no handler can leak internals or
answer a user's mistake with a 500.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
import structlog
from aiohttp import web

from pairsim.model.commands import CommandError
from pairsim.protocol.frames import Failure
from pairsim.replication.service import (
    BatchInterruptedError,
    BatchTooLargeError,
    InboxFullError,
    NoStateError,
    NotActiveError,
    RefusedError,
)

log = structlog.get_logger()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_LONGEST = 400

RETRY_AFTER = 1
"""Seconds; the header knows no fractions."""


class HttpError(Exception):
    """An answer that is not a success."""

    def __init__(self, status: int, sentence: str, *, unknown: bool = False) -> None:
        # What a user sent may be quoted in it, and that may be long.
        self.sentence = sentence if len(sentence) <= _LONGEST else sentence[:_LONGEST] + "..."
        super().__init__(self.sentence)
        self.status = status
        self.unknown = unknown

    @property
    def retry(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status in (429, 503)


_SENTENCES = {
    404: "there is nothing at {path}",
    405: "{path} does not take {method}",
    413: "the body is larger than this server takes",
}

_STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (CommandError, 400),
    (RefusedError, 409),
    (BatchTooLargeError, 413),
    (InboxFullError, 429),
    (NoStateError, 503),
    (NotActiveError, 503),
)


def explain(error: Exception) -> HttpError | None:
    """The answer to an error that is not the server's fault; None for any other."""
    if isinstance(error, HttpError):
        return error
    if isinstance(error, BatchInterruptedError):
        return HttpError(503, str(error), unknown=True)
    if isinstance(error, TimeoutError):
        return HttpError(503, str(error) or "the answer took too long: try again in a moment", unknown=True)
    for kind, status in _STATUSES:
        if isinstance(error, kind):
            return HttpError(status, str(error))
    return None


def unexpected(error: Exception, what: str) -> HttpError:
    """Logs an error that is the server's fault; the answer says nothing of its inside."""
    log.error("a request failed", request=what, exc_info=error)
    return HttpError(500, "the server failed at this request; its log says why", unknown=True)


def respond(error: HttpError) -> web.Response:
    """The answer with its JSON body."""
    # What a user sent may be quoted in it, and be no text.
    sentence = error.sentence.encode("utf-8", "backslashreplace").decode()
    headers = {"Retry-After": str(RETRY_AFTER)} if error.retry else None
    if error.status == 401:
        headers = {"WWW-Authenticate": "Bearer"}
    return web.Response(
        status=error.status,
        body=msgspec.json.encode(Failure(sentence, error.unknown)),
        content_type="application/json",
        headers=headers,
    )


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns whatever a handler raises into an answer."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        sentence = _SENTENCES.get(error.status, error.reason).format(path=request.path, method=request.method)
        answer = respond(HttpError(error.status, sentence))
        if "Allow" in error.headers:
            answer.headers["Allow"] = error.headers["Allow"]
        return answer
    except Exception as error:  # noqa: BLE001 - the last resort: log it, answer, go on
        return respond(explain(error) or unexpected(error, f"{request.method} {request.path}"))
