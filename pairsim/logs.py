"""How processes log: lines on standard error.

A line that cannot be written (a full disk) is lost, and never what it is about: whoever logs goes on, or ends as it
meant to.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import TextIO, cast

import click
import structlog


class _Forgiving:
    """Standard error, if it can be written."""

    def write(self, text: str) -> int:
        """What cannot be written is lost."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        """Likewise."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()


STDERR = cast("TextIO", _Forgiving())


def configure(level: str) -> None:
    """Logs from that level on.

    Raises:
        UsageError: There is no such level.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise click.UsageError(f"log level {level!r} is none of debug, info, warning, error")
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.ExceptionPrettyPrinter(STDERR),  # above its line, as lines
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(STDERR),
        cache_logger_on_first_use=True,
    )
