"""Whether a thread hangs, as another thread observes it.

The replica thread of an active may hang outside of the simulator's code: in a lock, in the kernel, in a wait that does
not end. Its Raft thread goes on, so the other members see an active that is well, while the area stands still. So the
Raft thread observes the turns of the replica thread, and hands the leadership over.
"""

from __future__ import annotations

from collections.abc import Hashable

HANGS_AFTER_SECONDS = 5.0
"""Seconds without any progress after which an overdue thread hangs: a large state may need seconds for a frame."""

_MAX_TURN_SECONDS = 0.5
"""The most that counts of the time between two observations: while the whole process stood still, no thread hung."""


class HangWatch:
    """The progress of one thread; used by the thread that observes it."""

    def __init__(self) -> None:
        """Starts without an observation."""
        self._seen: Hashable = None
        self._at = self._seconds = 0.0

    def observe(self, seen: Hashable, due: float, now: float) -> bool:
        """Returns whether the thread hangs.

        Args:
            seen: Anything that changes when the thread makes progress.
            due: When its next turn has to begin, in monotonic seconds; for a turn under way, when that began.
            now: The monotonic time in seconds.
        """
        if seen != self._seen or now < due:
            self._seen, self._seconds = seen, 0.0
        else:
            self._seconds += min(now - self._at, _MAX_TURN_SECONDS)
        self._at = now
        return self._seconds >= HANGS_AFTER_SECONDS
