"""Ends a process that cannot do its work at once, so that its peers take over."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback

import structlog

from pairsim.logs import STDERR
from pairsim.model.simulation.error_location import error_with_location
from pairsim.model.simulation.foreign_text import error_text

log = structlog.get_logger()

EXIT_CODE = 70


def exit_process(what: str, error: BaseException, during: str = "") -> None:
    """Logs `what` failed and ends the process without clean-up; half a replica or witness would hinder its peers.

    The last line of standard error names the error, the line of code that raised it, and the work during which it was
    raised. If the simulator raised, the line and the traceback are those of the author's code.
    """
    try:
        with contextlib.suppress(Exception):  # a simulator may have put anything in its place
            sys.stdout.flush()
        log.critical("process failed: its peers go on without it", reason=what, error=error_text(error))
        traceback.print_exception(error, file=STDERR)
        described = f"{what}: {error_with_location(error)}{during and f' in {during}'}"
        STDERR.write(f"{described}\n")  # the keeper of the process reports the last line
        STDERR.flush()
    finally:
        os._exit(EXIT_CODE)
