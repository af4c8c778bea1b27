"""Measures how long an area stood still when its active changed, as the log of this replica saw it."""

from __future__ import annotations

import threading

from pairsim.replication.service import SwitchoverResult


class Gap:
    """From the last commit of one term to the first tick of the next."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._last = 0.0
        self._newest = SwitchoverResult(gap_ms=0.0, term=0)

    def commit(self, term: int, now: float) -> tuple[int, float] | None:
        """A tick of that term is committed; if it is the first one, the term before and the seconds since its last."""
        change, before = None, self._newest.term
        if term != before:
            gap = now - self._last if before else 0.0
            with self._changed:
                self._newest = SwitchoverResult(gap_ms=gap * 1e3, term=term)
                self._changed.notify_all()
            change = (before, gap) if before else None
        self._last = now
        return change

    def wait(self, beyond: int, timeout: float) -> SwitchoverResult:
        """The change to the first term after `beyond`.

        Raises:
            TimeoutError: It did not come.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._newest.term > beyond, timeout):
                raise TimeoutError("the new active has not committed a tick in time")
            return self._newest
