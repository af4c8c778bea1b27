"""How long a watcher waits before it tries again to reach its process, so that many lost processes cost little. Pure.

A process that is lost alone is tried every half second. Each attempt takes the controller about a millisecond, and a
hundred processes that died together must not take the time that the labels of their areas need. So the watchers of one
controller share a budget of attempts, and the pause grows with the number of processes that cannot be reached.
"""

from __future__ import annotations

FIRST_RETRY_SECONDS = 0.05
"""Seconds until the first attempt after a connection broke: the process may live, and have lost nothing else."""

LONGEST_RETRY_SECONDS, LONGEST_CROWDED_SECONDS = 0.5, 2.0
"""The longest pause for a few processes that cannot be reached, and for many of them."""

_ATTEMPTS_PER_SECOND = 50


class ReconnectPace:
    """The pauses of all watchers of one controller."""

    def __init__(self) -> None:
        self._unreachable: set[str] = set()

    def reached(self, name: str) -> None:
        """Takes in that a process was reached, or that it is not watched any more."""
        self._unreachable.discard(name)

    def failed(self, name: str, failures: int) -> float:
        """Takes in a failed attempt; returns the seconds to wait before the next one.

        Args:
            name: The name of the process.
            failures: The attempts that failed in a row, at least 1. The first one is the end of a connection.
        """
        self._unreachable.add(name)
        if failures <= 1:
            return FIRST_RETRY_SECONDS
        own = min(FIRST_RETRY_SECONDS * (1 << min(failures - 1, 10)), LONGEST_RETRY_SECONDS)
        return max(own, min(len(self._unreachable) / _ATTEMPTS_PER_SECOND, LONGEST_CROWDED_SECONDS))
