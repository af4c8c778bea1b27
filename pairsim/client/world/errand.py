"""The way of one command from area to area, until one of them has decided about it.

Where an entity is not known, one area after the other is asked: an area that does not have the entity and does not
remember it answers `moved` without a name. An area that remembers it names the area that the entity went to. There the
entity may not have arrived yet: then this area is asked again, for a while.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from pairsim.model.commands import Command, Result, Status

WAIT_SECONDS = 1.5
"""How long an area that was named is asked again for an entity that has not arrived."""

_FIRST_PAUSE_SECONDS, _MOST_PAUSE_SECONDS = 0.02, 0.2


class Errand:
    """One command on its way.

    Attributes:
        area: The area that it goes to next.
        urls: The replicas of this area, if an answer named them.
        result: The result that counts; None while the command is on its way.
        due: When it may be sent, on the clock of the event loop.
    """

    def __init__(self, command: Command, area: str, attempt: int = 1) -> None:
        """Begins with an area.

        Args:
            command: The command.
            area: The area that is asked first.
            attempt: The number of the first attempt.
        """
        self.area = area
        self.urls: Sequence[str] = ()
        self.result: Result | None = None
        self.due = 0.0
        self._command, self.attempt = command, attempt
        self._tried: set[str] = set()
        self._named_by = ""
        self._named_until = self._pause = 0.0

    @property
    def id(self) -> str:
        """The id of the command."""
        return self._command.id

    @property
    def entity(self) -> int:
        """The entity of the command."""
        return self._command.entity

    @property
    def command(self) -> Command:
        """The command with the number of the attempt."""
        return msgspec.structs.replace(self._command, attempt=self.attempt)

    def take(self, result: Result, areas: Collection[str], now: float) -> None:
        """Takes the answer of the area, and decides where to go next.

        Args:
            result: The answer.
            areas: The areas of the newest map, in the order in which they are asked.
            now: The time on the clock of the event loop.
        """
        if result.status is not Status.MOVED:
            self.result = result
            return
        self.attempt += 1
        asked, self.urls, self.due = self.area, (), 0.0
        if result.area and result.area != asked:
            self.area, self.urls = result.area, result.urls
            self._named_by, self._named_until, self._pause = asked, now + WAIT_SECONDS, _FIRST_PAUSE_SECONDS
            self._tried.discard(result.area)
            return
        if self._named_by and now < self._named_until:
            self.due = now + self._pause
            self._pause = min(2 * self._pause, _MOST_PAUSE_SECONDS)
            return
        self._tried.add(asked)
        untried = next((area for area in areas if area not in self._tried), None)
        if untried is not None:
            self.area = untried
            return
        self.result = Result(result.id, Status.REJECTED, result.tick, self._reason(asked))

    def _reason(self, asked: str) -> str:
        if self._named_by:
            return f"entity {self.entity} left {self._named_by} and is in no area now: it was removed, or is on its way"
        return f"no area has entity {self.entity}" if len(self._tried) > 1 else f"{asked} has no entity {self.entity}"
