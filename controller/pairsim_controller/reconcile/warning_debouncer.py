"""What is wrong is told once, and only if it lasts.

A takeover takes some ten milliseconds, in which an area has no active, and a process that died is back within a second:
that is no news. Nor is that processes which have just been started cannot be reached yet.
"""

from __future__ import annotations

from collections.abc import Iterable

from pairsim_controller.plan.view import Say

PATIENCE = 1.0
"""Seconds that something must be wrong before it is told."""

STARTING = 10.0
"""Seconds from the first look in which nothing is told."""

QUIET = 60.0
"""Seconds in which what is told with changing numbers is told once: they may cross their bound again and again."""

_Key = tuple[str, str]


class Complaints:
    """Remembers what was said of which area; sans-I/O."""

    def __init__(self, starting: float = STARTING) -> None:
        """Nothing is told in the first `starting` seconds."""
        self._starting = starting
        self._since: dict[_Key, float] = {}
        self._told: dict[_Key, tuple[Say, float]] = {}
        self._from: float | None = None

    def fresh(self, said: Iterable[Say], now: float) -> list[Say]:
        """What is to be told now, of all that is wrong at the moment; what is over may be told again later."""
        wrong = {_key(say): say for say in said}
        if self._from is None:
            self._from = now + self._starting
        self._since = {key: self._since.get(key, now) for key in wrong}
        self._told = {
            key: (say, at) for key, (say, at) in self._told.items() if key in wrong or (say.reason and now - at < QUIET)
        }
        old = now - PATIENCE
        fresh = {
            key: (say, now)
            for key, say in wrong.items()
            if key not in self._told and self._since[key] <= old and now >= self._from
        }
        self._told |= fresh
        return [say for say, _at in fresh.values()]

    @property
    def lasting(self) -> list[Say]:
        """What was told and is so still, in the words that it was told in."""
        return [say for key, (say, _at) in self._told.items() if key in self._since]


def _key(say: Say) -> _Key:
    return say.area, say.reason or say.sentence
