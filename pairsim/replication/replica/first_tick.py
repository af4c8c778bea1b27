"""When the first tick of a leadership begins.

Clients whose commands waited for an active send them within a few milliseconds. If they missed the first tick, they
would wait for the second one, which is 50 ms later in an area with 20 ticks a second. So the first tick waits for the
first command, and then until the last of them is there, though not for long: those that waited come together.
"""

from __future__ import annotations

LOOK_SECONDS = 0.00025
"""How often the commands that wait are counted before the first tick."""

_LONGEST_SECONDS = 0.006
"""How long the tick waits for the first command; a client may need 5 ms to find the new active."""

_QUIET_SECONDS, _MORE_SECONDS = 0.0005, 0.0015
"""How long no other command has come when the last of them is there, and how long after the first one at most."""


class FirstTick:
    """The first tick of one leadership."""

    def __init__(self, now: float) -> None:
        """Begins to wait for commands."""
        self._latest, self._waiting, self._last_came = now + _LONGEST_SECONDS, 0, now

    def due(self, now: float, waiting: int) -> float:
        """Returns when the tick begins if no more commands come than those that wait now."""
        if waiting != self._waiting:
            if not self._waiting:
                self._latest = min(self._latest, now + _MORE_SECONDS)
            self._waiting, self._last_came = waiting, now
        return min(self._last_came + _QUIET_SECONDS, self._latest) if waiting else self._latest
