"""Every way in which a request can fail, as an HTTP status with a sentence.

Handlers raise exceptions, and one middleware turns each of them into an answer with a JSON body. So no handler can leak
internals, or answer a user's mistake with a 500. The middleware knows `HttpError` and aiohttp's own errors; a server
adds a mapping for the exceptions of its own domain.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

import msgspec
import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware

from pairsim.protocol.frames import Failure

log = structlog.get_logger()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

RETRY_AFTER_SECONDS = 1
"""A whole number, because the header `Retry-After` knows no fractions."""

_MAX_SENTENCE = 400


class HttpError(Exception):
    """An answer with a status of 400 or above.

    Attributes:
        status: HTTP's status code.
        sentence: The reason for the user; cut after 400 characters.
        unknown: Whether the request may have taken effect all the same.
        retry_after: Seconds after which the client may try again; sent with the statuses 429 and 503 only.
    """

    def __init__(
        self, status: int, sentence: str, *, unknown: bool = False, retry_after: int = RETRY_AFTER_SECONDS
    ) -> None:
        # The sentence may quote what a user sent, and that may be long.
        self.sentence = sentence if len(sentence) <= _MAX_SENTENCE else sentence[:_MAX_SENTENCE] + "..."
        super().__init__(self.sentence)
        self.status = status
        self.unknown = unknown
        self.retry_after = retry_after

    @property
    def retry(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status in (429, 503)


ErrorMapping = Callable[[Exception], HttpError | None]
"""Returns the answer to an exception that is not the server's fault, and None for any other exception."""

_SENTENCES: Mapping[int, str] = MappingProxyType(
    {
        404: "there is nothing at {path}",
        405: "{path} does not take {method}",
        413: "the body is larger than this server takes",
    }
)


def known_error(error: Exception) -> HttpError | None:
    """Returns the exception itself if it is an answer already: the mapping of a server without errors of its own."""
    return error if isinstance(error, HttpError) else None


def internal_error(error: Exception, request: str) -> HttpError:
    """Logs an error that is the server's fault, and returns an answer that reveals nothing of its inside.

    Args:
        error: The exception that the server did not expect.
        request: What failed, for the log: a method and a path, for example.
    """
    log.error("request failed", request=request, exc_info=error)
    return HttpError(500, "the server failed at this request; its log says why", unknown=True)


def respond(error: HttpError) -> web.Response:
    """Returns an error as a response with a JSON body."""
    # The sentence may quote what a user sent, and that need not be valid text.
    sentence = error.sentence.encode("utf-8", "backslashreplace").decode()
    headers = {"Retry-After": str(error.retry_after)} if error.retry else None
    if error.status == 401:
        headers = {"WWW-Authenticate": "Bearer"}
    return web.Response(
        status=error.status,
        body=msgspec.json.encode(Failure(sentence, error.unknown)),
        content_type="application/json",
        headers=headers,
    )


def answer_errors(
    to_http_error: ErrorMapping = known_error, sentences: Mapping[int, str] = MappingProxyType({})
) -> Middleware:
    """Returns a middleware that turns every exception of a handler into a response.

    Args:
        to_http_error: The server's mapping of its own exceptions; it has to pass an `HttpError` through. Every
            exception that it does not know is logged and answered with a 500.
        sentences: Texts for aiohttp's own errors by status, instead of the usual ones. `{path}` and `{method}` are
            filled in.
    """
    known = {**_SENTENCES, **sentences}

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            sentence = known.get(error.status, error.reason).format(path=request.path, method=request.method)
            response = respond(HttpError(error.status, sentence))
            if "Allow" in error.headers:
                response.headers["Allow"] = error.headers["Allow"]
            return response
        except Exception as error:  # noqa: BLE001 - the last resort: log it, answer, go on
            return respond(to_http_error(error) or internal_error(error, f"{request.method} {request.path}"))

    return answer
