"""The log of a process: lines on standard error.

A line that cannot be written, for example to a full disk, is lost. The failure has no effect on the code that logs.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import TextIO, cast

import click
import structlog


class BestEffortStderr:
    """Standard error that ignores failures to write."""

    def write(self, text: str) -> int:
        """Writes to standard error and ignores a failure; returns the length of the text."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        """Flushes standard error and ignores a failure."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()


STDERR = cast("TextIO", BestEffortStderr())


def configure(level: str) -> None:
    """Sets up logging of all events of at least a level.

    Raises:
        UsageError: The level is unknown.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise click.UsageError(f"unknown log level {level!r}: use debug, info, warning or error")
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.ExceptionPrettyPrinter(STDERR),  # a traceback precedes its event's line
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(STDERR),
        # A cached logger would keep the settings of its first line, whatever is configured or captured afterwards.
        cache_logger_on_first_use=False,
    )
