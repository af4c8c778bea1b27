"""An observer of all areas, whose streams are late by different times, and what it may never see.

Ids are unique in the worlds that have an observer. The streams of an area keep their order, and leave states out.
"""

from __future__ import annotations

import random

from tests.simulation.models.borders.checks import Violation
from tests.simulation.models.borders.rules import Rules
from tests.simulation.models.borders.state import Area, Departure, Frame, Sight

_MOST_FRAMES = 6
"""The frames of an area that are on their way at most; a slow observer gets fewer frames, and never incomplete ones."""


class Observer:
    """A client that watches the whole world."""

    def __init__(self, rules: Rules, rng: random.Random) -> None:
        self.rules, self.rng = rules, rng
        self.streams: dict[int, list[Frame]] = {}
        self.unnamed: dict[int, tuple[Departure, ...]] = {}
        self.framed: dict[int, frozenset[int]] = {}
        self.newest: dict[int, Frame] = {}
        self.departures: dict[int, Departure] = {}
        self.shown: dict[int, Sight] = {}
        self.gone: set[int] = set()

    def on_tick(self, after: Area, alive: set[int], *, quiet: bool) -> None:
        """Takes in a committed tick of an area; frames are sent and arrive now and then."""
        number = after.number
        self.unnamed[number] = self.unnamed.get(number, ()) + after.left
        stream = self.streams.setdefault(number, [])
        if len(stream) < _MOST_FRAMES and (quiet or self.rng.random() < 0.4):
            named = self.rules.named(self.framed.get(number, frozenset()), self.unnamed.pop(number))
            stream.append(Frame(number, after.clock, {i: row.x for i, row in after.rows.items()}, named))
            self.framed[number] = frozenset(after.rows)
        for waiting in self.streams.values():
            if waiting and (quiet or self.rng.random() < 0.3):
                self._receive(waiting.pop(0), alive)

    def _receive(self, frame: Frame, alive: set[int]) -> None:
        self.newest.pop(frame.area, None)
        self.newest[frame.area] = frame
        for departure in frame.left:
            known = self.departures.get(departure.entity)
            if known is None or departure.clock > known.clock:
                self.departures[departure.entity] = departure
        before, self.shown = self.shown, {}
        entities = set(before) | set(self.departures) | {i for f in self.newest.values() for i in f.positions}
        for entity in entities:
            sight = self._sight(entity, before.get(entity))
            if sight is not None:
                self.shown[entity] = sight
            self._check(entity, before.get(entity), sight, alive)

    def _sight(self, entity: int, before: Sight | None) -> Sight | None:
        sights = [Sight(f.clock, f.area, f.positions[entity]) for f in self.newest.values() if entity in f.positions]
        departure = self.departures.get(entity)
        sight = self.rules.sight(sights, departure)
        if sight is None and departure is not None and self.rules.stays_in_sight(departure):
            return before
        return sight

    def _check(self, entity: int, before: Sight | None, sight: Sight | None, alive: set[int]) -> None:
        if sight is None:
            if before is not None and entity in alive:
                raise Violation(f"entity {entity} vanished, which lives: it was seen as {before}")
            if before is not None:
                self.gone.add(entity)
        elif entity in self.gone:
            raise Violation(f"entity {entity} is shown again after its death, as {sight}")
        elif before is not None and sight.clock < before.clock:
            raise Violation(f"entity {entity} is shown as {sight} after {before}")

    def unsettled(self, areas: dict[int, Area]) -> list[str]:
        """Returns what differs from the world when all is quiet."""
        there = {i: (n, row.x) for n, area in areas.items() for i, row in area.rows.items()}
        seen = {i: (sight.area, sight.x) for i, sight in self.shown.items()}
        return [
            f"an observer sees {seen.get(i)}, and the world has {there.get(i)}"
            for i in {*there, *seen}
            if there.get(i) != seen.get(i)
        ]
