"""How a process ends that cannot do its work: at once, so that its peer takes over."""

from __future__ import annotations

import os
import sys
import traceback

import structlog

log = structlog.get_logger()

EXIT_CODE = 70


def die(what: str, error: BaseException) -> None:
    """Ends the process; a half-working replica or witness would be in its peers' way."""
    log.critical("this process ends, so that its peers go on without it", reason=what, error=repr(error))
    traceback.print_exception(error)
    sys.stderr.write(last_words(what, error))
    sys.stderr.flush()
    os._exit(EXIT_CODE)


def last_words(what: str, error: BaseException) -> str:
    """One line for whoever keeps the process: what was raised, and where."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    told = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
    return f"{what}: {told}{where}\n"
