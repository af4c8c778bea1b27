"""The one clock of replication, so that a simulation can put a whole process on virtual time."""

from __future__ import annotations

import time
from collections.abc import Callable

_source: Callable[[], float] = time.monotonic


def monotonic() -> float:
    """The time in seconds; only differences mean anything."""
    return _source()


def use_clock(clock: Callable[[], float]) -> None:
    """Puts everything in this process on another clock."""
    global _source  # noqa: PLW0603 - one clock per process is the point
    _source = clock
