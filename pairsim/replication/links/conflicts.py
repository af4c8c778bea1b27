"""Names the entities that an area refuses because their ids are taken, in the log of the active.

An entity that was refused is tried again after some ticks, so the same ids come again and again: the log gets a line at
most every `PAUSE_SECONDS`.
"""

from __future__ import annotations

import math

import structlog

from pairsim.model.borders.entity_sets import Ids
from pairsim.replication.clock import monotonic

log = structlog.get_logger()

PAUSE_SECONDS = 10.0
_IDS_NAMED = 10


class ConflictLog:
    """The log of one replica's refusals. Replica thread."""

    def __init__(self) -> None:
        self._due, self._unsaid = -math.inf, 0

    def note(self, refused: Ids) -> None:
        """Logs refused entities, if the last line is old enough; otherwise the next line counts them."""
        if not len(refused):
            return
        now = monotonic()
        self._unsaid += len(refused)
        if now < self._due:
            return
        named = ", ".join(map(str, refused[:_IDS_NAMED].tolist()))
        more = f" and {len(refused) - _IDS_NAMED} more" if len(refused) > _IDS_NAMED else ""
        log.warning("entities were refused, because their ids are taken", ids=named + more, refused=self._unsaid)
        self._due, self._unsaid = now + PAUSE_SECONDS, 0
