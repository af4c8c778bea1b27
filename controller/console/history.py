"""Who became active of what, and when: the timeline, as far as it was watched. Sans-I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Literal

import msgspec

from controller.picture import AreaPicture

KEPT = 200


Kind = Literal["founded", "takeover", "switchover", "renewed", "lost", "restored"]


class Event(msgspec.Struct, frozen=True):
    """One thing that happened.

    Attributes:
        number: Counts up, so that a page knows what it has.
        at: Unix time in seconds.
        kind: `founded` (the first active), `takeover` (another active; the one before was lost), `switchover`
            (the one before is there and follows), `renewed` (the same one in a new term),
            `lost` and `restored` (redundancy).
        replica, before: The active now and before; empty where there is none.
        seconds: Of `restored`: how long it was lost, as it was seen.
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


class History:
    """Of a world; memory is bounded by `KEPT` events."""

    def __init__(self) -> None:
        """Nothing happened yet."""
        self.events: deque[Event] = deque(maxlen=KEPT)
        self._actives: dict[str, tuple[str, int]] = {}
        self._whole: set[str] = set()
        self._lost: dict[str, float] = {}
        self._number = 0

    def see(self, areas: Iterable[AreaPicture], now: float) -> None:
        """The world as it is now, in Unix time."""
        for area in areas:
            self._active(area, now)
            self._redundancy(area, now)

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
        self._add(area.area, now, kind, newest.replica, before, newest.term, newest.tick)

    def _redundancy(self, area: AreaPicture, now: float) -> None:
        name = area.area
        replica, term = self._actives.get(name, ("", 0))
        if area.redundant and name in self._lost:
            self._add(name, now, "restored", replica, "", term, 0, now - self._lost.pop(name))
        elif area.redundant:
            self._whole.add(name)
        elif name in self._whole and name not in self._lost:
            self._lost[name] = now
            self._add(name, now, "lost", replica, "", term, 0)

    def _add(
        self,
        area: str,
        now: float,
        kind: Kind,
        replica: str,
        before: str,
        term: int,
        tick: int,
        seconds: float = 0.0,
    ) -> None:
        self._number += 1
        self.events.append(Event(self._number, now, area, kind, replica, before, term, tick, seconds))
