"""Sets of entity ids, and numbers that a few entities have, as arrays.

A set answers which of a million ids are in it at the cost of reading them once: a table of flags, looked up by the last
bits of an id, leaves few ids that a binary search has to look for.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
Rows = npt.NDArray[np.intp]

NO_IDS: Ids = np.empty(0, np.int64)
NO_IDS.flags.writeable = False

_FEWEST_BITS, _MOST_BITS, _SPARE_BITS = 10, 22, 4


class IdSet:
    """A set of ids that is asked about many others."""

    def __init__(self, ids: Ids) -> None:
        """Takes ids, each once, int64 (k,)."""
        self._order = np.argsort(ids, kind="stable")
        self._sorted = ids[self._order]
        self._flags: npt.NDArray[np.bool_] | None = None
        self._bits = min(max(len(ids).bit_length() + _SPARE_BITS, _FEWEST_BITS), _MOST_BITS)

    def find(self, ids: Ids) -> tuple[Rows, Rows]:
        """Returns which of these ids are in the set, as their places in `ids`, and their places in the set."""
        if not len(self._sorted) or not len(ids):
            return np.empty(0, np.intp), np.empty(0, np.intp)
        candidates = self._candidates(ids)
        values = ids[candidates]
        places = np.searchsorted(self._sorted, values)
        places[places == len(self._sorted)] = 0
        found = self._sorted[places] == values
        return candidates[found], self._order[places[found]]

    def mask(self, ids: Ids) -> npt.NDArray[np.bool_]:
        """Returns which of these ids are in the set, bool (n,)."""
        found = np.zeros(len(ids), np.bool_)
        found[self.find(ids)[0]] = True
        return found

    def _candidates(self, ids: Ids) -> Rows:
        if len(ids) <= len(self._sorted) >> 4:
            return np.arange(len(ids))
        low_bits = (1 << self._bits) - 1
        if self._flags is None:
            self._flags = np.zeros(1 << self._bits, np.bool_)
            self._flags[self._sorted & low_bits] = True
        return np.flatnonzero(self._flags[ids & low_bits])


class EntityNumbers:
    """A number for each of a few entities. It does not change: every change makes another one.

    Attributes:
        ids: The entities in ascending order, int64 (k,).
        numbers: Their numbers, int64 (k,).
    """

    __slots__ = ("ids", "numbers")

    def __init__(self, ids: Ids = NO_IDS, numbers: Ids = NO_IDS) -> None:
        """Takes ids in ascending order, each once, and their numbers."""
        self.ids, self.numbers = ids, numbers

    def __len__(self) -> int:
        return len(self.ids)

    def put(self, ids: Ids, number: int | Ids) -> EntityNumbers:
        """Gives these entities a number, or a number each; ids come once."""
        kept, order = self.without(ids), np.argsort(ids)
        ids, numbers = ids[order], np.broadcast_to(np.asarray(number, np.int64), len(ids))[order]
        places = np.searchsorted(kept.ids, ids)
        return EntityNumbers(np.insert(kept.ids, places, ids), np.insert(kept.numbers, places, numbers))

    def without(self, ids: Ids) -> EntityNumbers:
        """Forgets the numbers of these entities."""
        if not len(self.ids) or not len(ids):
            return self
        there = self.mask(ids)
        if not there.any():
            return self
        kept = ~IdSet(ids[there]).mask(self.ids)
        return EntityNumbers(self.ids[kept], self.numbers[kept])

    def above(self, number: int) -> EntityNumbers:
        """Forgets the entities whose numbers are at most this one."""
        if not len(self.ids):
            return self
        kept = self.numbers > number
        return self if kept.all() else EntityNumbers(self.ids[kept], self.numbers[kept])

    def mask(self, ids: Ids, above: int = -1) -> npt.NDArray[np.bool_]:
        """Returns which of these entities have a number above this one, bool (n,)."""
        if not len(self.ids):
            return np.zeros(len(ids), np.bool_)
        places = np.searchsorted(self.ids, ids)
        places[places == len(self.ids)] = 0
        there: npt.NDArray[np.bool_] = (self.ids[places] == ids) & (self.numbers[places] > above)
        return there
