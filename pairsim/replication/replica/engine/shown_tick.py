"""The newest tick that anybody can have seen of a replica, also before its process ended and was started again.

A tick that nobody has seen may still be changed: an operator can leave a command out of it, or compute it with other
code. So its number is on record before it is shown. A tick is seen when it is both computed here and committed: from
then on readers, observers and checkpoints may have it.

The answer of an engine that comes after the end of the leadership that asked for it does not count. Otherwise a
replica could come to a tick after it has reported that it has not.
"""

from __future__ import annotations

from collections.abc import Callable

from pairsim.replication.log.tick_log import TickLog
from pairsim.replication.replica.ports import Disk


class ShownTick:
    """The newest tick that one replica has shown. The log's lock guards it, so that its reports fit the log."""

    def __init__(self, log: TickLog, disk: Disk, confirmed: Callable[[], bool]) -> None:
        """Takes the own log, the disk of the replica, and a function that returns whether its state is confirmed."""
        self._log, self._disk, self._confirmed = log, disk, confirmed
        self._state = 0
        log.before_advance = self._on_commit

    def on_state(self, tick: int) -> None:
        """Records that the state is at a tick now, before anybody sees it. Replica thread."""
        with self._log.lock:
            self._state = tick
            self._show(min(tick, self._log.tick))

    def compute(self, tick: int, term: int) -> bool:
        """Records that a leadership has computed a tick; returns False if that leadership is over. Replica thread."""
        with self._log.lock:
            if self._log.term != term:
                return False
            self.on_state(tick)
            return True

    def report(self) -> tuple[int, int]:
        """Returns the opened term, and the highest tick that the state has reached or that was shown. Any thread."""
        with self._log.lock:
            return self._log.term, max(self._disk.shown, self._state)

    @property
    def tick(self) -> int:
        """The newest tick that was shown."""
        return self._disk.shown

    def _on_commit(self, tick: int) -> None:
        """Is called before the log grows to a tick, under the log's lock."""
        if self._confirmed():
            self._show(min(self._state, tick))

    def _show(self, tick: int) -> None:
        if tick > self._disk.shown:
            self._disk.show(tick)
