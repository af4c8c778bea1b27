"""Measures how long an area stood still when its active changed, as the log of this replica shows it."""

from __future__ import annotations

from pairsim.replication.clock import monotonic
from pairsim.replication.service import SwitchoverResult
from pairsim.replication.waiting import Broadcast

_LOOK_SECONDS = 0.01


class ActiveGap:
    """The time from the last commit of one term to the first committed tick of the next term."""

    def __init__(self) -> None:
        self._changed = Broadcast()
        self._last = 0.0
        self._newest = SwitchoverResult(gap_ms=0.0, term=0)

    def commit(self, term: int, now: float) -> tuple[int, float] | None:
        """Notes at time `now` (monotonic seconds) that a tick of `term` is committed.

        Returns:
            For the first tick of a term, the term before and the seconds since its last commit; otherwise None, also
            when no earlier term is known.
        """
        change, before = None, self._newest.term
        if term != before:
            gap = now - self._last if before else 0.0
            self._newest = SwitchoverResult(gap_ms=gap * 1e3, term=term)
            self._changed.notify_all()
            change = (before, gap) if before else None
        self._last = now
        return change

    def wait(self, beyond: int, timeout: float) -> SwitchoverResult:
        """Waits at most `timeout` seconds for a term after `beyond`; returns the newest change.

        Raises:
            TimeoutError: The first tick of such a term was not committed in time.
        """
        deadline = monotonic() + timeout
        while (newest := self._newest).term <= beyond:
            left = deadline - monotonic()
            if left <= 0:
                raise TimeoutError("the new active has not committed a tick in time")
            self._changed.wait(min(left, _LOOK_SECONDS))
        return newest
