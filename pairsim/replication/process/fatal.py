"""How a process ends that cannot do its work: at once, so that its peer takes over."""

from __future__ import annotations

import os
import traceback
from collections.abc import Collection

import structlog

from pairsim.logs import STDERR
from pairsim.model.simulation.error_location import error_with_location

log = structlog.get_logger()

EXIT_CODE = 70


def die(what: str, error: BaseException, own: Collection[str] = ()) -> None:
    """Ends the process; a half-working replica or witness would be in its peers' way. `own`: see `raised`."""
    try:
        log.critical("this process ends, so that its peers go on without it", reason=what, error=repr(error))
        traceback.print_exception(error, file=STDERR)
        STDERR.write(f"{what}: {error_with_location(error, own)}\n")  # for whoever keeps the process
        STDERR.flush()
    finally:
        os._exit(EXIT_CODE)
