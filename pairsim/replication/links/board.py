"""The committed state of all links of an area, as its connections read it.

Nothing that a tick has computed leaves the process before the tick is committed. So the active posts the links of each
state here when it is committed, and the threads of the connections send these.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

import msgspec

from pairsim.model.borders import Acknowledgement, AreaMap
from pairsim.replication.links.outbox import Outbox
from pairsim.replication.waiting import Wakeup

NOTHING_TAKEN = Acknowledgement(taken=0, sent=0, clock=0)
"""What an area acknowledges of a link that its state does not have yet."""


class LinkState(msgspec.Struct, frozen=True):
    """One link in a committed state: what goes to the other area, and how far its entries were taken."""

    outbox: Outbox
    acknowledgement: Acknowledgement


class Posted(msgspec.Struct, frozen=True):
    """The links of one committed state.

    Attributes:
        term: The term of the leadership that posted them; 0 outside of a leadership.
        clock: The clock of the state.
        number: The number of this area.
        map: The cells that this area knows.
        links: The links by the number of the other area.
    """

    term: int = 0
    clock: int = 0
    number: int = 0
    map: AreaMap = AreaMap()
    links: Mapping[int, LinkState] = {}

    def outbox(self, number: int) -> Outbox:
        """Returns what goes to an area."""
        link = self.links.get(number)
        return Outbox() if link is None else link.outbox

    def acknowledgement(self, number: int) -> Acknowledgement:
        """Returns how far the entries of an area were taken."""
        link = self.links.get(number)
        return msgspec.structs.replace(NOTHING_TAKEN, clock=self.clock) if link is None else link.acknowledgement


Change = Callable[[Posted, Posted], bool]
"""Returns whether a thread has work after a change from one to another."""


def any_change(_before: Posted, _after: Posted) -> bool:
    """Returns that there is work after every change."""
    return True


def other_areas_changed(before: Posted, after: Posted) -> bool:
    """Returns whether there may be other areas to exchange entities with."""
    return before.map is not after.map or before.links.keys() != after.links.keys()


class Board:
    """The newest posted links. Any thread reads.

    Attributes:
        posted: What was posted last; replaced as a whole.
    """

    def __init__(self) -> None:
        self.posted = Posted()
        self._lock = threading.Lock()
        self._watching: dict[Wakeup, Change] = {}

    def post(self, posted: Posted) -> None:
        """Posts the links of a newer committed state, and wakes the threads whose link has changed."""
        with self._lock:
            before = self.posted
            if posted.term == before.term and posted.clock <= before.clock:
                return
            self.posted = posted
            for wakeup, concerns in self._watching.items():
                if posted.term != before.term or concerns(before, posted):
                    wakeup.set()

    def clear(self) -> None:
        """Posts nothing: this replica is not the active any more. Connections end."""
        with self._lock:
            self.posted = Posted()
            for wakeup in self._watching:
                wakeup.set()

    def watch(self, wakeup: Wakeup, change: Change = any_change) -> None:
        """Sets a flag from now on at each change that concerns its thread, and when a leadership begins or ends."""
        with self._lock:
            self._watching[wakeup] = change

    def unwatch(self, wakeup: Wakeup) -> None:
        """Sets the flag no more."""
        with self._lock:
            self._watching.pop(wakeup, None)
