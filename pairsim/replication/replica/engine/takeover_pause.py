"""The pause before an engine is started again while the other replica takes over.

The start of an engine keeps a processor busy for a second. On a machine with few processors the takeover would wait for
it, and every client with it. So the start waits until the other replica has computed its first tick: the record of its
second one is committed then.
"""

from __future__ import annotations

from pairsim.replication.log.tick_log import TickLog

MOST_SECONDS = 0.5
"""The longest pause; the other replica may fail as well."""

_TICKS = 2


class TakeoverPause:
    """The pause of one replica. Replica thread only."""

    def __init__(self, log: TickLog) -> None:
        """Starts without a pause."""
        self._log = log
        self._until: float | None = None
        self._term = self._tick = 0

    def begin(self, now: float) -> None:
        """Begins a pause: the other replica may take over."""
        self._until = now + MOST_SECONDS
        self._term, self._tick = self._log.position()

    def end(self) -> None:
        """Ends the pause: the other replica does not take over."""
        self._until = None

    def is_over(self, now: float) -> bool:
        """Returns whether no pause is under way."""
        if self._until is not None:
            term, tick = self._log.position()
            if now >= self._until or (term > self._term and tick >= self._tick + _TICKS):
                self._until = None
        return self._until is None
