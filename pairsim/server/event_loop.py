"""The event loop of a server process, on the clock of replication.

An event loop compares its timers with a clock. If that clock is shifted and shifted back, timers that were set in
between are due minutes late; the clock of replication is never shifted back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from pairsim.replication.clock import monotonic

T = TypeVar("T")


class SteadyEventLoop(asyncio.SelectorEventLoop):
    """An event loop whose time never goes back."""

    def time(self) -> float:
        """Returns the time of the clock of replication, in seconds."""
        return monotonic()


def run(main: Coroutine[None, None, T]) -> T:
    """Runs a coroutine as `asyncio.run` does, on the steady clock; returns its result."""
    with asyncio.Runner(loop_factory=SteadyEventLoop) as runner:
        return runner.run(main)
