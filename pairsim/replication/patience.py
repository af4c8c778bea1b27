"""How much longer a member waits for the others on a busy machine.

A member that gets no processor sends nothing, like one that has died. Timeouts that fit an idle machine would depose a
leader that merely waits for a processor, again and again, while the load lasts. So each member measures how long its
own turns had to wait for a processor, tells the others in its pings, and all wait longer by a multiple of the longest
wait that they know of. The timeout adapts to observations, as accrual failure detectors do (Hayashibara et
al., "The phi accrual failure detector", 2004), with the cause in place of a distribution.

A process that was stopped did not wait for a processor, and a closed connection is not a silence: hung and dead actives
are found as fast as before. Timeouts do not bear on safety, so a wrong measurement costs time only.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

_NOTICEABLE_SECONDS = 0.02
"""A turn that is less late than this was not kept waiting."""

_FACTOR = 4.0
_MOST_SECONDS = 2.5
"""The longest additional wait."""

_WINDOW_SECONDS = 15.0
"""A wait counts for one to two windows."""


class ProcessorWaits(Protocol):
    """A meter of the waits of this process for a processor."""

    def since(self, then: float) -> float:
        """Returns an upper bound of the wait since a time in the last second, in seconds."""

    def keep_current(self, now: float) -> None:
        """Is called often, so that `since` can distinguish a wait from earlier ones."""


class NoProcessorWaits:
    """The waits of a process that always has a processor."""

    def since(self, then: float) -> float:
        """Returns 0.0."""
        return 0.0

    def keep_current(self, now: float) -> None:
        """Does nothing."""


class Patience:
    """The waits of one member, in the Raft thread."""

    def __init__(self, waits: ProcessorWaits) -> None:
        """Starts as a member that was never kept waiting."""
        self._waits = waits
        self._window_end = 0.0
        self._longest = self._longest_before = 0.0

    def on_turn(self, now: float, planned: float) -> None:
        """Notes a turn that begins at `now` and was planned for `planned` at the latest.

        A turn that was kept waiting must not take its own pause for a silence of the others: the patience that comes
        with it is longer than the pause.
        """
        if now >= self._window_end:
            stale = now >= self._window_end + _WINDOW_SECONDS
            self._longest_before, self._longest = (0.0 if stale else self._longest), 0.0
            self._window_end = now + _WINDOW_SECONDS
        late = now - planned
        if late < _NOTICEABLE_SECONDS:
            self._waits.keep_current(now)
            return
        waited = min(late, self._waits.since(planned))
        if waited >= _NOTICEABLE_SECONDS:
            self._longest = max(self._longest, waited)

    @property
    def longest_wait(self) -> float:
        """The longest wait for a processor in the last seconds, in seconds."""
        return max(self._longest, self._longest_before)

    def seconds(self, reported: Iterable[float]) -> float:
        """Returns how much longer to wait for the others, in seconds; `reported` are their own longest waits."""
        return min(_FACTOR * max(self.longest_wait, *reported, 0.0), _MOST_SECONDS)
