"""What is wrong is told once, and only if it lasts.

A takeover takes some ten milliseconds, in which an area has no active, and a process that died is back within a second:
that is no news. Nor is that processes which have just been started cannot be reached yet.
"""

from __future__ import annotations

from collections.abc import Iterable

from controller.view import Say

PATIENCE = 1.0
"""Seconds that something must be wrong before it is told."""

STARTING = 10.0
"""Seconds from the first look in which nothing is told."""


class Complaints:
    """Remembers what was said of which area; sans-I/O."""

    def __init__(self, starting: float = STARTING) -> None:
        """Nothing is told in the first `starting` seconds."""
        self._starting = starting
        self._since: dict[Say, float] = {}
        self._told: set[Say] = set()
        self._from: float | None = None

    def fresh(self, said: Iterable[Say], now: float) -> list[Say]:
        """What is to be told now, of all that is wrong at the moment; what is over may be told again later."""
        said = list(dict.fromkeys(said))
        if self._from is None:
            self._from = now + self._starting
        self._since = {say: self._since.get(say, now) for say in said}
        self._told &= self._since.keys()
        old = now - PATIENCE
        fresh = [say for say in said if say not in self._told and self._since[say] <= old and now >= self._from]
        self._told.update(fresh)
        return fresh
