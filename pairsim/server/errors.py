"""The errors of a replica as HTTP errors: one table for requests, sessions and observers."""

from __future__ import annotations

from pairsim.model.commands import CommandError
from pairsim.replication.service import (
    BatchInterruptedError,
    BatchTooLargeError,
    InboxFullError,
    NoStateError,
    NotActiveError,
    RefusedError,
)
from pairsim.server.http.errors import HttpError

_STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (CommandError, 400),
    (RefusedError, 409),
    (BatchTooLargeError, 413),
    (InboxFullError, 429),
    (NoStateError, 503),
    (NotActiveError, 503),
)


def to_http_error(error: Exception) -> HttpError | None:
    """Returns the answer to an error that is not the server's fault, and None for any other error."""
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
