"""The timeline of a world: changes of actives and of redundancy, and processes that ended. Sans-I/O.

The history compares each status of the world with the one before, so it knows what happened while the world was
watched.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from typing import Literal

import msgspec

from pairsim.model.world_status import AreaStatusView
from pairsim_controller.reconcile.redundancy_tracker import RedundancyChange, RedundancyTracker

MAX_EVENTS = 200

Kind = Literal["founded", "takeover", "switchover", "renewed", "lost", "restored", "ended"]


class Event(msgspec.Struct, frozen=True):
    """An entry of the timeline.

    Attributes:
        number: Grows by one with each event, so a page knows which events it has.
        at: Unix time in seconds.
        area: The area; empty for `ended`.
        kind: `founded` (the first active), `takeover` (another active, and the previous one was lost), `switchover`
            (another active, and the previous one is now a passive), `renewed` (the same active in a new term),
            `lost` and `restored` (redundancy), `ended` (a process of any area ended).
        replica, before: The active now, and the previous one; empty if no replica was active before.
        term: The active's term.
        tick: The active's tick; 0 if the event is not about an active.
        seconds: For `lost` and `restored`, how long the area was seen without redundancy.
        about: For `lost`, the reason; for `restored`, the pair; for `ended`, the whole sentence.
    """

    number: int
    at: float
    area: str
    kind: Kind
    replica: str
    before: str
    term: int
    tick: int
    seconds: float = 0.0
    about: str = ""


class History:
    """The newest `MAX_EVENTS` events of a world.

    Attributes:
        events: The events, oldest first.
    """

    def __init__(self) -> None:
        self.events: deque[Event] = deque(maxlen=MAX_EVENTS)
        self._actives: dict[str, tuple[str, int]] = {}
        self._areas: defaultdict[str, RedundancyTracker] = defaultdict(RedundancyTracker)
        self._number = 0

    def observe(self, areas: Iterable[AreaStatusView], now: float) -> None:
        """Adds the events since the last call.

        Args:
            areas: The status of all areas.
            now: Unix time in seconds.
        """
        for area in areas:
            self._observe_active(area, now)
            self._observe_redundancy(area, now)

    def add_ended(self, message: str, now: float) -> None:
        """Adds the end of a process, described by a sentence, at a Unix time."""
        self._add(Event(0, now, "", "ended", "", "", 0, 0, about=message))

    def _observe_active(self, area: AreaStatusView, now: float) -> None:
        actives = [replica for replica in area.replicas if replica.role == "active"]
        if not actives:
            return
        newest = max(actives, key=lambda replica: replica.term)
        before, term = self._actives.get(area.area, ("", 0))
        if (newest.replica, newest.term) == (before, term) or newest.term < term:
            return
        self._actives[area.area] = newest.replica, newest.term
        previous = next((replica for replica in area.replicas if replica.replica == before), None)
        changed: Kind = "switchover" if previous is not None and previous.role != "active" else "takeover"
        kind: Kind = "founded" if not before else "renewed" if before == newest.replica else changed
        self._add(Event(0, now, area.area, kind, newest.replica, before, newest.term, newest.tick))

    def _observe_redundancy(self, area: AreaStatusView, now: float) -> None:
        news = self._areas[area.area].observe(area, now)
        replica, term = self._actives.get(area.area, ("", 0))
        if news is not None and news.change is RedundancyChange.LOST:
            self._add(Event(0, now, area.area, "lost", replica, "", term, 0, news.seconds, area.missing))
        elif news is not None and news.change is RedundancyChange.RESTORED:
            pair = " and ".join(f"{member.replica} ({member.role})" for member in area.replicas)
            self._add(Event(0, now, area.area, "restored", replica, "", term, 0, news.seconds, pair))

    def _add(self, event: Event) -> None:
        self._number += 1
        self.events.append(msgspec.structs.replace(event, number=self._number))
