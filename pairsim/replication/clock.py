"""The one clock of replication, so that a simulation can run a whole process on virtual time."""

from __future__ import annotations

import time
from collections.abc import Callable

_source: Callable[[], float] = time.monotonic


def monotonic() -> float:
    """Returns the time in seconds; only differences have a meaning."""
    return _source()


def use_clock(clock: Callable[[], float]) -> None:
    """Makes all of replication in this process use another clock."""
    global _source  # noqa: PLW0603 - one clock per process is the point
    _source = clock
