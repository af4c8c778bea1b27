"""Ends a process that cannot do its work at once, so that its peers take over."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Collection

import structlog

from pairsim.logs import STDERR
from pairsim.model.simulation.error_location import error_with_location
from pairsim.model.simulation.foreign_text import error_text

log = structlog.get_logger()

EXIT_CODE = 70


def exit_process(what: str, error: BaseException, own: Collection[str] = (), during: str = "") -> None:
    """Logs `what` failed and ends the process without clean-up; half a replica or witness would hinder its peers.

    The last line of standard error names the error, its innermost line in the files of `own` (see
    `error_with_location`), and the work during which it was raised.
    """
    try:
        with contextlib.suppress(Exception):  # a simulator may have put anything in its place
            sys.stdout.flush()
        log.critical("process failed: its peers go on without it", reason=what, error=error_text(error))
        described = error_with_location(error, own)
        traceback.print_exception(error, file=STDERR)
        STDERR.write(
            f"{what}{f' {described} in {during}' if during else f': {described}'}\n"
        )  # the last line is what the keeper of the process reports
        STDERR.flush()
    finally:
        os._exit(EXIT_CODE)
