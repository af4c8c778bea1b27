"""How a process ends that cannot do its work: at once, so that its peer takes over."""

from __future__ import annotations

import os

import structlog

log = structlog.get_logger()

EXIT_CODE = 70


def die(what: str, error: BaseException) -> None:
    """Ends the process; a half-working replica or witness would be in its peers' way."""
    log.critical(
        "this process ends, so that its peers go on without it", reason=what, error=repr(error), exc_info=error
    )
    os._exit(EXIT_CODE)
