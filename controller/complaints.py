"""What is wrong is told once, and only if it lasts.

A takeover takes some ten milliseconds, in which an area has no active: that is no news.
"""

from __future__ import annotations

from collections.abc import Iterable

from controller.view import Say

PATIENCE = 0.4
"""Seconds that something must be wrong before it is told."""


class Complaints:
    """Remembers what was said of which area; sans-I/O."""

    def __init__(self) -> None:
        self._since: dict[Say, float] = {}
        self._told: set[Say] = set()

    def fresh(self, said: Iterable[Say], now: float) -> list[Say]:
        """What is to be told now, of all that is wrong at the moment; what is over may be told again later."""
        said = list(dict.fromkeys(said))
        self._since = {say: self._since.get(say, now) for say in said}
        self._told &= self._since.keys()
        fresh = [say for say in said if say not in self._told and now - self._since[say] >= PATIENCE]
        self._told.update(fresh)
        return fresh
