"""The entities that left an area in its newest ticks, for observers and for commands that come too late."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pairsim.model.borders.entity_sets import NO_IDS, Ids, IdSet
from pairsim.model.borders.limits import BorderLimits
from pairsim.model.state.digest import digest_arrays

Areas = npt.NDArray[np.int32]

DIED = 0
"""The place of an entity in the area that it went to, if it died."""

_ALL_BITS = 2**64 - 1


class TickDepartures(NamedTuple):
    """The entities that left in one tick.

    Attributes:
        clock: The clock of the tick.
        ids: The entities, int64 (k,).
        areas: Where each of them went, int32 (k,); `DIED` for none.
    """

    clock: int
    ids: Ids
    areas: Areas

    def digest(self) -> int:
        """Returns the xxh3 hash of the tick's departures."""
        return digest_arrays(self.clock, [self.ids, self.areas])


class Departures:
    """The departures of the newest ticks. It does not change: every change makes another one.

    Attributes:
        ticks: The ticks, oldest first.
        checksum: The sum of their hashes.
    """

    __slots__ = ("_ids", "_total", "checksum", "ticks")

    def __init__(self, ticks: tuple[TickDepartures, ...] = (), checksum: int | None = None) -> None:
        """Takes ticks, and the sum of their hashes if it is known."""
        self.ticks = ticks
        self.checksum = sum(tick.digest() for tick in ticks) & _ALL_BITS if checksum is None else checksum
        self._total = sum(len(tick.ids) for tick in ticks)
        self._ids: Ids | None = None

    def __len__(self) -> int:
        return self._total

    def add(self, clock: int, ids: Ids, areas: Areas) -> Departures:
        """Adds departures of the newest tick."""
        if not len(ids):
            return self
        ticks, checksum = self.ticks, self.checksum
        if ticks and ticks[-1].clock == clock:
            checksum -= ticks[-1].digest()
            ids, areas = np.concatenate((ticks[-1].ids, ids)), np.concatenate((ticks[-1].areas, areas))
            ticks = ticks[:-1]
        newest = TickDepartures(clock, ids, areas)
        return Departures((*ticks, newest), checksum + newest.digest() & _ALL_BITS)

    def trimmed(self, limits: BorderLimits) -> Departures:
        """Forgets the oldest ticks that are over the limits, and never the newest one."""
        total, first = self._total, 0
        while first < len(self.ticks) - 1 and (
            total > limits.departed or len(self.ticks) - first > limits.departed_ticks
        ):
            total -= len(self.ticks[first].ids)
            first += 1
        return self.after(self.ticks[first - 1].clock) if first else self

    def after(self, clock: int) -> Departures:
        """Returns those of the ticks after a clock."""
        old = [tick for tick in self.ticks if tick.clock <= clock]
        if not old:
            return self
        return Departures(self.ticks[len(old) :], self.checksum - sum(tick.digest() for tick in old) & _ALL_BITS)

    def areas_of(self, ids: Ids) -> list[int]:
        """Returns where entities went when they last left; `DIED` if they died, or if nothing is known."""
        if not self.ticks or not len(ids):
            return [DIED] * len(ids)
        if self._ids is None:
            self._ids = np.concatenate([tick.ids for tick in self.ticks])
        areas = np.concatenate([tick.areas for tick in self.ticks])
        wanted = np.unique(ids)
        places, _ = IdSet(wanted).find(self._ids)
        newest = dict(zip(self._ids[places].tolist(), areas[places].tolist(), strict=True))
        return [newest.get(entity, DIED) for entity in ids.tolist()]

    def newest(self) -> tuple[Ids, Areas]:
        """Returns the entities that left, each once, and where each of them went when it last left."""
        if not self.ticks:
            return NO_IDS, np.empty(0, np.int32)
        ids = np.concatenate([tick.ids for tick in reversed(self.ticks)])
        areas = np.concatenate([tick.areas for tick in reversed(self.ticks)])
        unique, places = np.unique(ids, return_index=True)
        return unique, areas[places]


def absent(departures: Departures, present: Ids) -> tuple[Ids, Areas]:
    """Returns the entities that left and have not come back, and where each of them went.

    Args:
        departures: Those that left.
        present: The ids of the area's entities, each once.
    """
    ids, areas = departures.newest()
    _, back = IdSet(ids).find(present)
    away = np.ones(len(ids), np.bool_)
    away[back] = False
    return ids[away], areas[away]
