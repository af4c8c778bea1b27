"""What happened to areas and processes, and when: the timeline, as far as it was watched. Sans-I/O."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from typing import Literal

import msgspec

from pairsim.model.world_status import AreaPicture
from pairsim_controller.reconcile.redundancy_tracker import RedundancyChange, RedundancyTracker

KEPT = 200

Kind = Literal["founded", "takeover", "switchover", "renewed", "lost", "restored", "ended"]


class Event(msgspec.Struct, frozen=True):
    """One thing that happened.

    Attributes:
        number: Counts up, so that a page knows what it has.
        at: Unix time in seconds.
        kind: `founded` (the first active), `takeover` (another active; the one before was lost), `switchover`
            (the one before is there and follows), `renewed` (the same one in a new term),
            `lost` and `restored` (redundancy), `ended` (a process; of no area).
        replica, before: The active now and before; empty where there is none.
        seconds: Of `lost` and `restored`: how long it has not been redundant, as it was seen.
        about: Of `lost`: why; of `restored`: who; of `ended`: the whole sentence.
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
    """Of a world; memory is bounded by `KEPT` events."""

    def __init__(self) -> None:
        """Nothing happened yet."""
        self.events: deque[Event] = deque(maxlen=KEPT)
        self._actives: dict[str, tuple[str, int]] = {}
        self._areas: defaultdict[str, RedundancyTracker] = defaultdict(RedundancyTracker)
        self._number = 0

    def see(self, areas: Iterable[AreaPicture], now: float) -> None:
        """The world as it is now, in Unix time."""
        for area in areas:
            self._active(area, now)
            self._redundancy(area, now)

    def ended(self, sentence: str, now: float) -> None:
        """A process ended, as the sentence says."""
        self._add(Event(0, now, "", "ended", "", "", 0, 0, about=sentence))

    def _active(self, area: AreaPicture, now: float) -> None:
        actives = [replica for replica in area.replicas if replica.role == "active"]
        if not actives:
            return
        newest = max(actives, key=lambda replica: replica.term)
        before, term = self._actives.get(area.area, ("", 0))
        if (newest.replica, newest.term) == (before, term) or newest.term < term:
            return
        self._actives[area.area] = newest.replica, newest.term
        left = next((replica for replica in area.replicas if replica.replica == before), None)
        changed: Kind = "switchover" if left is not None and left.role != "active" else "takeover"
        kind: Kind = "founded" if not before else "renewed" if before == newest.replica else changed
        self._add(Event(0, now, area.area, kind, newest.replica, before, newest.term, newest.tick))

    def _redundancy(self, area: AreaPicture, now: float) -> None:
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
