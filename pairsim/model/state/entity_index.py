"""The lookup of a table's rows by entity id: a hash table in numpy arrays.

Each place has an id and a row. An id begins to look for its place where its hash says, and tries one place after the
other until it meets itself or a place that was never used (linear probing; Knuth, The Art of Computer Programming,
volume 3, section 6.4). A removed id leaves a mark, over which others go on and which they may use again. Many ids look
at once: each round of numpy operations takes one step of all that have not arrived.

The hash is the finalizer of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014) of
the id and a random number that no client knows. So no client can choose ids that share one place, and runs of ids lie
scattered: each id that meets a run would walk over all of it. Places are not part of the state: each process has a
number of its own.

The index of a million entities takes 32 MB. A dict of Python ints takes three times as much, and ten times as long to
find or remove ten thousand of them.
"""

from __future__ import annotations

import secrets

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int64]

_NEVER, _REMOVED = -1, -2
"""Rows of places without an id."""

_SEED = secrets.randbits(64)
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_ALL_BITS = 2**64 - 1

_FEWEST_BITS = 6
_FULL = 0.6
"""The share of places that were ever used above which a new table is made."""


class EntityIndex:
    """The rows of entities by their ids; ids are unique."""

    def __init__(self, ids: Ids) -> None:
        """Takes ids by row, int64 (n,)."""
        self._build(ids, np.arange(len(ids)))

    def __len__(self) -> int:
        return self._count

    @property
    def nbytes(self) -> int:
        """The bytes of its arrays."""
        return self._ids.nbytes + self._rows.nbytes

    def longest_walk(self) -> int:
        """Returns how many places the slowest lookup of an id that is present tries."""
        used = np.flatnonzero(self._rows >= 0)
        walks = (used - self._hash(self._ids[used])) & self._mask
        return int(walks.max(initial=-1)) + 1

    def rows(self, ids: Ids) -> Rows:
        """Returns the rows of entities, int64 (k,); -1 for an id that is absent."""
        return self.rows_at(self.places(ids))

    def rows_at(self, places: npt.NDArray[np.intp]) -> Rows:
        """Returns the rows at places, int64 (k,); -1 where the place is."""
        found = self._rows[places]
        found[places < 0] = _NEVER
        return found

    def row(self, entity: int) -> int:
        """Returns the row of one entity, or -1 if its id is absent."""
        mixed = entity & _ALL_BITS ^ _SEED
        mixed = (mixed ^ mixed >> 30) * _FIRST & _ALL_BITS
        mixed = (mixed ^ mixed >> 27) * _SECOND & _ALL_BITS
        place = mixed >> int(self._shift)
        while (row := self._rows.item(place)) != _NEVER:
            if row >= 0 and self._ids.item(place) == entity:
                return int(row)
            place = (place + 1) & self._mask
        return _NEVER

    def insert(self, ids: Ids, rows: Rows) -> None:
        """Adds ids, which are absent and of which none comes twice."""
        if self._used + len(ids) > _FULL * len(self._rows):
            live = self._rows >= 0
            self._build(np.concatenate((self._ids[live], ids)), np.concatenate((self._rows[live], rows)))
            return
        self._count += len(ids)
        places = self._hash(ids)
        while len(ids):
            before = self._rows[places]
            free = before < 0
            # Of several ids that try one place the last write stays, and the others go on.
            self._ids[places[free]] = ids[free]
            settled = free & (self._ids[places] == ids)
            self._rows[places[settled]] = rows[settled]
            self._used += int(np.count_nonzero(before[settled] == _NEVER))
            left = ~settled
            ids, rows, places = ids[left], rows[left], (places[left] + 1) & self._mask

    def remove(self, ids: Ids) -> None:
        """Removes ids, which are present and of which none comes twice."""
        self.remove_at(self.places(ids))

    def remove_at(self, places: npt.NDArray[np.intp]) -> None:
        """Removes the ids at places, of which none comes twice."""
        self._rows[places] = _REMOVED
        self._count -= len(places)

    def move(self, ids: Ids, rows: Rows) -> None:
        """Gives ids, which are present, other rows."""
        self._rows[self.places(ids)] = rows

    def _build(self, ids: Ids, rows: Rows) -> None:
        bits = max(_FEWEST_BITS, (2 * len(ids)).bit_length())
        self._shift, self._mask = np.uint64(64 - bits), (1 << bits) - 1
        self._ids = np.zeros(1 << bits, np.int64)
        self._rows = np.full(1 << bits, _NEVER, np.int64)
        self._count = self._used = 0
        self.insert(ids, rows)

    def _hash(self, ids: Ids) -> npt.NDArray[np.intp]:
        mixed = ids.view(np.uint64) ^ np.uint64(_SEED)
        mixed = (mixed ^ mixed >> np.uint64(30)) * np.uint64(_FIRST)
        mixed = (mixed ^ mixed >> np.uint64(27)) * np.uint64(_SECOND)
        return (mixed >> self._shift).astype(np.intp)

    def places(self, ids: Ids) -> npt.NDArray[np.intp]:
        """Returns the places of ids, intp (k,), until an id is added; -1 for an id that is absent."""
        found = np.full(len(ids), -1, np.intp)
        looking = np.arange(len(ids))
        places = self._hash(ids)
        while len(looking):
            rows = self._rows[places]
            here = (rows >= 0) & (self._ids[places] == ids)
            found[looking[here]] = places[here]
            left = ~here & (rows != _NEVER)
            looking, ids, places = looking[left], ids[left], (places[left] + 1) & self._mask
        return found
