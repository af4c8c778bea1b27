"""What `pairsim up` says of the areas: when each is redundant, and when it has not been so for a while and why.

A replica that is replaced at once is told by what replaces it; that it was missing for half a second is no news.
"""

from __future__ import annotations

from collections.abc import Iterator

from controller.picture import AreaPicture, WorldPicture

PATIENCE = 1.0
"""Seconds without redundancy before it is told."""


class Announcer:
    """Remembers what was told of which area; sans-I/O. Times are in seconds, of any clock that goes forward."""

    def __init__(self, began: float, ready: str) -> None:
        """`ready` is what to say when every area has been redundant once; the world was started at `began`."""
        self._began, self._ready = began, ready
        self._pairs: dict[str, tuple[str, ...]] = {}
        self._since: dict[str, float] = {}
        self._told: set[str] = set()

    def fresh(self, picture: WorldPicture, now: float) -> Iterator[str]:
        """What is news."""
        for area in picture.areas:
            sentence = self._redundant(area, now) if area.redundant else self._missing(area, now)
            if sentence:
                yield f"{area.area}: {sentence}"
        if self._ready and len(self._pairs) == len(picture.areas):
            yield self._ready
            self._ready = ""

    def _redundant(self, area: AreaPicture, now: float) -> str:
        pair = tuple(f"{r.replica} ({r.role})" for r in area.replicas)
        told = area.area in self._told
        lost = self._since.pop(area.area, None)
        self._told.discard(area.area)
        before = self._pairs.get(area.area)
        self._pairs[area.area] = pair
        if pair == before and not told:
            return ""
        names = f"{' and '.join(pair)}, {max(r.entities for r in area.replicas)} entities"
        if before is None:
            return f"redundant after {now - self._began:.2f} s: {names}"
        if lost is None:
            return f"redundant: {names}"
        return f"redundant again after {now - lost:.2f} s: {names}"

    def _missing(self, area: AreaPicture, now: float) -> str:
        if area.area not in self._pairs:
            return ""  # it has not begun; what it waits for is told by who decides about it
        since = self._since.setdefault(area.area, now)
        if area.area in self._told or now - since < PATIENCE:
            return ""
        self._told.add(area.area)
        return f"not redundant for {now - since:.0f} s: {area.missing}"
