"""Where entities were seen last: a bounded memory, from answers and from observed frames."""

from __future__ import annotations

from collections.abc import Iterable

MOST_ENTITIES = 500_000


class Whereabouts:
    """The areas of entities. What was noted longest ago is forgotten first."""

    def __init__(self, limit: int = MOST_ENTITIES) -> None:
        """Knows nothing yet, and never knows more than `limit` entities."""
        self._limit = limit
        self._areas: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._areas)

    def get(self, entity: int) -> str:
        """Returns the area of an entity; an empty name if it is not known."""
        return self._areas.get(entity, "")

    def note(self, entity: int, area: str) -> None:
        """Notes that an entity is in an area."""
        areas = self._areas
        if areas.get(entity) == area:
            return
        areas.pop(entity, None)
        areas[entity] = area
        if len(areas) > self._limit:
            del areas[next(iter(areas))]

    def note_all(self, entities: Iterable[int], area: str) -> None:
        """Notes that entities are in an area."""
        for entity in entities:
            self.note(entity, area)

    def forget(self, entity: int) -> None:
        """Forgets an entity."""
        self._areas.pop(entity, None)
