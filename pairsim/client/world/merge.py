"""Merges the frames of several areas into those of one world. Pure: the time is an argument.

Each area shows its own committed ticks, and the frames of one come earlier or later than those of another. So an entity
that crosses a border may be shown by two areas, or by none. The rules:

    Of the areas that show an entity, the one with the highest clock has it: an entity that an area had at a clock was
    taken by the next area at a higher one. What the others show of it is kept back.
    An entity that left an area for another one stays in the world, as it was seen last, until an area with a higher
    clock shows it. After some time it leaves the world as `unseen`. If the cell of the other area has no part of the
    box, it leaves at once.
    An entity that left the world does not come back by the frame of an area with a lower clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container

import numpy as np

from pairsim.protocol.frames import Frame, Rows
from pairsim.protocol.interest import AreaSnapshot, ids_of, joined, rows_of, without

MOST_LEFT = 65_536
"""How many entities that left the world are remembered, with the clock."""


class WorldFrame(Frame, frozen=True, omit_defaults=True):
    """The change of an area of interest of a world since the frame before; `tick`, `term` and `clock` are of one area.

    Attributes:
        area: The area whose frame brought the change; empty if only time has passed.
        unseen: Ids of those in `leave` that moved to another area and that no area has shown since: they are outside of
            the box, or still on their way.
        silent: The areas that have not shown a tick for a second; their entities are as they were seen last.
    """

    area: str = ""
    unseen: bytes = b""
    silent: tuple[str, ...] = ()


class _Held:
    """An entity that left an area for another one."""

    def __init__(self, area: str, to: str, clock: int, until: float) -> None:
        self.area, self.to, self.clock, self.until = area, to, clock, until


class _Sight:
    """What one area shows.

    Attributes:
        clock: The clock of its newest frame.
        content: What it shows.
        hidden: The entities of it that another area has, or that have left the world.
    """

    def __init__(self, content: AreaSnapshot) -> None:
        self.clock, self.content = 0, content
        self.hidden: set[int] = set()


class WorldMerge:
    """The world as the frames of its areas show it."""

    def __init__(
        self,
        hold_seconds: float,
        note: Callable[[int, str], None] = lambda _entity, _area: None,
        in_sight: Callable[[str], bool] = lambda _area: True,
    ) -> None:
        """Shows nothing yet.

        Args:
            hold_seconds: How long an entity that moved stays without being shown by an area.
            note: Called with each entity that an area begins to show, and with the area's name.
            in_sight: Returns whether an area's cell has a part of the box; true if that is not known.
        """
        self._hold, self._note, self._in_sight = hold_seconds, note, in_sight
        self._views: dict[str, _Sight] = {}
        self._owners: dict[int, str] = {}
        self._held: dict[int, _Held] = {}
        self._expiries: deque[tuple[float, int]] = deque()
        self._left: dict[int, int] = {}

    def keyframe(self, frame: Frame) -> WorldFrame:
        """Returns all that the areas show, as a keyframe with the tick of a frame.

        Entities between two areas are not in it: they enter when an area shows them.
        """
        self._held.clear()
        by_area: dict[str, list[int]] = {}
        for entity, area in self._owners.items():
            by_area.setdefault(area, []).append(entity)
        parts = [rows_of(view.content, by_area.get(area, ())) for area, view in self._views.items()]
        return WorldFrame(frame.tick, frame.term, True, joined(parts), Rows(), b"", frame.clock)

    def take(
        self, area: str, frame: Frame, content: AreaSnapshot, now: float, silent: Container[str] = ()
    ) -> WorldFrame:
        """Returns the change of the world by a frame of an area.

        Args:
            area: The name of the area.
            frame: The difference to the frame of the area before, or its first one.
            content: What the area shows after it.
            now: The time, in seconds.
            silent: The areas that show nothing at the moment. What moved to one of them stays until it does.
        """
        view = self._views.setdefault(area, _Sight(content))
        view.clock, view.content = frame.clock, content
        change = _Change()
        moved = {entity: to for to, ids in frame.moved.items() if self._in_sight(to) for entity in ids_of(ids).tolist()}
        gone = set(ids_of(frame.gone).tolist())
        for entity in ids_of(frame.leave).tolist():
            self._leave(change, area, entity, to=moved.get(entity), gone=entity in gone, now=now)
        for entity in [*view.hidden, *ids_of(frame.enter.ids).tolist()]:
            self._show(change, area, entity)
        self._expire(change, now, silent)
        entered = [rows_of(content, change.entered)]
        fresh = [rows_of(self._views[name].content, entities) for name, entities in change.fresh.items()]
        updated = without(frame.update, [*view.hidden, *change.entered, *change.fresh.get(area, ())])
        return WorldFrame(
            frame.tick,
            frame.term,
            False,
            joined(entered),
            joined([updated, *fresh]),
            _bytes(change.leave),
            frame.clock,
            {},
            _bytes(change.gone),
            area,
            _bytes(change.unseen),
        )

    def wait(self, now: float, silent: Container[str] = ()) -> WorldFrame | None:
        """Returns the change of the world by time alone; None if nothing changed."""
        change = _Change()
        self._expire(change, now, silent)
        if not change.leave:
            return None
        return WorldFrame(0, 0, False, Rows(), Rows(), _bytes(change.leave), unseen=_bytes(change.unseen))

    def drop(self, area: str, now: float) -> None:
        """Notes that an area is not part of the world any more: others will show its entities."""
        view = self._views.pop(area, None)
        if view is None:
            return
        for entity in [entity for entity, owner in self._owners.items() if owner == area]:
            self._hold_back(entity, area, "", view.clock, now)

    def _leave(self, change: _Change, area: str, entity: int, *, to: str | None, gone: bool, now: float) -> None:
        view = self._views[area]
        if entity in view.hidden:
            view.hidden.discard(entity)
            return
        if self._owners.get(entity) != area:
            return
        other = self._claim(entity, view.clock)
        if other is not None:
            self._own(change, other, entity)
        elif to is not None:
            self._hold_back(entity, area, to, view.clock, now)
        else:
            self._end(change, entity, view.clock)
            if gone:
                change.gone.append(entity)

    def _show(self, change: _Change, area: str, entity: int) -> None:
        """Lets an area show an entity, if nobody else knows better."""
        view, owner = self._views[area], self._owners.get(entity)
        if owner == area:
            return
        if owner is not None:
            clock = self._views[owner].clock
        else:
            held = self._held.get(entity)
            clock = held.clock if held is not None else self._left.get(entity, -1)
        if view.clock and view.clock <= clock:
            view.hidden.add(entity)
            return
        if owner is not None:
            self._views[owner].hidden.add(entity)
        if owner is not None or entity in self._held:
            self._own(change, area, entity)
        else:
            self._left.pop(entity, None)
            self._owners[entity] = area
            self._note(entity, area)
            view.hidden.discard(entity)
            change.entered.append(entity)

    def _own(self, change: _Change, area: str, entity: int) -> None:
        """Makes an area the one that shows an entity of the world."""
        self._held.pop(entity, None)
        self._owners[entity] = area
        self._note(entity, area)
        self._views[area].hidden.discard(entity)
        change.fresh.setdefault(area, []).append(entity)

    def _claim(self, entity: int, clock: int) -> str | None:
        """Returns the area with the highest clock, above this one, that shows an entity."""
        claims = [(v.clock, name) for name, v in self._views.items() if entity in v.hidden and v.clock > clock]
        return max(claims)[1] if claims else None

    def _hold_back(self, entity: int, area: str, to: str, clock: int, now: float) -> None:
        self._owners.pop(entity, None)
        self._held[entity] = _Held(area, to, clock, now + self._hold)
        self._expiries.append((now + self._hold, entity))

    def _expire(self, change: _Change, now: float, silent: Container[str]) -> None:
        """Lets those leave that have been held for too long."""
        while self._expiries and self._expiries[0][0] <= now:
            until, entity = self._expiries.popleft()
            held = self._held.get(entity)
            if held is None or held.until != until:
                continue
            if held.to in silent:
                self._hold_back(entity, held.area, held.to, held.clock, now)
            else:
                del self._held[entity]
                self._end(change, entity, held.clock)
                change.unseen.append(entity)

    def _end(self, change: _Change, entity: int, clock: int) -> None:
        """Lets an entity leave the world."""
        self._owners.pop(entity, None)
        self._left.pop(entity, None)
        self._left[entity] = clock
        if len(self._left) > MOST_LEFT:
            del self._left[next(iter(self._left))]
        change.leave.append(entity)


class _Change:
    """What a frame changes: entities that enter the world, that another area shows now, and that leave it."""

    def __init__(self) -> None:
        self.entered: list[int] = []
        self.fresh: dict[str, list[int]] = {}
        self.leave: list[int] = []
        self.gone: list[int] = []
        self.unseen: list[int] = []


def _bytes(entities: list[int]) -> bytes:
    return np.array(entities, "<i8").tobytes() if entities else b""
