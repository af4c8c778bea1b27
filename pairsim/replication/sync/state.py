"""The entities of an area at one tick, and who may look at them when."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from pairsim.model.state.digest import hex16
from pairsim.model.state.table import Table
from pairsim.replication.log.tick_log import TickLog
from pairsim.replication.service import NoStateError, Published

T = TypeVar("T")

HISTORY = 1_024
"""How many recent ticks' digests are kept."""


class State:
    """A table with its tick. The replica thread writes it, under `lock`; readers take the lock.

    Attributes:
        table: The entities.
        tick: The tick that the table is at.
        valid: Whether the table is at `tick`.
        doubt: The term of a lost leadership that may have computed ticks which were never committed.
        divergences: How often a digest differed from the log's.
    """

    def __init__(self, table: Table) -> None:
        self.lock = threading.Lock()
        self.table = table
        self.tick = 0
        self.valid = False
        self.doubt: int | None = None
        self.divergences = 0
        self._digests: dict[int, int] = {}
        self._changed = threading.Condition()

    @property
    def trusted(self) -> bool:
        """Whether the table is what the log says of its tick."""
        return self.valid and self.doubt is None

    def at(self, tick: int) -> int:
        """Notes that the table is at `tick` now, and returns its digest. Call under `lock`."""
        self.tick, self.valid = tick, True
        digest = self.table.digest()
        self._digests.pop(tick, None)
        self._digests[tick] = digest
        if len(self._digests) > HISTORY:
            del self._digests[next(iter(self._digests))]
        return digest

    def replace(self, table: Table, tick: int) -> None:
        """Puts another table in place."""
        with self.lock:
            self.table = table
            self.forget_doubt()
            self.at(tick)

    def forget_doubt(self) -> None:
        """Another state takes this one's place: digests of ticks that may have been undone go with it."""
        if not self.trusted:
            self._digests = {}
        self.doubt = None

    def digest(self, tick: int) -> int | None:
        """The digest at a recent tick."""
        return self._digests.get(tick)

    def digests(self, first: int, last: int) -> dict[int, str]:
        """Digests of the recent ticks in [first, last], 16 hex digits each; none while they are in doubt.

        `last` has to be a committed tick that was known before the call: what a lost leadership computed ahead of it
        is in doubt from then on.
        """
        if not self.trusted:
            return {}
        return {tick: hex16(digest) for tick, digest in list(self._digests.items()) if first <= tick <= last}

    def notify(self) -> None:
        """Wakes readers that wait for a commit."""
        with self._changed:
            self._changed.notify_all()

    def read(self, query: Callable[[Table, Published], T], log: TickLog, timeout: float) -> T:
        """Runs a query while the table is at a committed tick.

        Raises:
            NoStateError: The table is not valid.
            TimeoutError: It was not at a committed tick in time.
        """
        deadline = time.monotonic() + timeout
        while True:
            with self.lock:
                if not self.valid:
                    raise NoStateError("this replica has no state of the area yet")
                if self.tick <= log.tick and self.doubt is None:
                    return query(self.table, Published(log.term, self.tick))
            with self._changed:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError("the state was not at a committed tick in time")
                self._changed.wait(min(left, 0.01))
