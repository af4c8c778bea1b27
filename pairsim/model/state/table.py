"""The entities of an area as a struct of arrays.

Rows are dense: a removed row is filled with the last one, so that a step runs over plain arrays. The order of the
rows is part of the state, since a step may depend on it; it is therefore in the digest and in the state stream.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from pairsim.model.state.digest import digest_arrays
from pairsim.model.state.schema import Schema

Ids = npt.NDArray[np.int64]
Column = npt.NDArray[np.generic]

_SMALLEST = 64


class Table:
    """Rows of entities; column i of row r belongs to the entity `ids[r]`.

    Attributes:
        layout: Changes whenever the ids or the order of the rows change.
    """

    def __init__(self, schema: Schema) -> None:
        """An empty table."""
        self.schema = schema
        self.layout = 0
        self._count = 0
        self._ids: Ids = np.empty(0, np.int64)
        self._columns: dict[str, Column] = {
            c.name: np.empty((0, c.width) if c.width > 1 else 0, c.dtype) for c in schema
        }
        self._index: dict[int, int] | None = {}

    def __len__(self) -> int:
        return self._count

    def __contains__(self, entity: object) -> bool:
        return entity in self._rows_by_id()

    @property
    def ids(self) -> Ids:
        """Entity ids by row, int64 (n,); a view."""
        return self._ids[: self._count]

    def column(self, name: str) -> npt.NDArray[np.generic]:
        """A component's values by row, (n,) or (n, width); a view."""
        return self._columns[name][: self._count]

    def columns(self) -> dict[str, Column]:
        """All of them in the schema's order; views."""
        return {name: column[: self._count] for name, column in self._columns.items()}

    def row(self, entity: int) -> int | None:
        """An entity's row."""
        return self._rows_by_id().get(entity)

    def rows(self, ids: Ids) -> npt.NDArray[np.intp]:
        """Rows of entities, (n,); -1 where there is no such entity."""
        index = self._rows_by_id()
        return np.fromiter((index.get(entity, -1) for entity in ids.tolist()), np.intp, len(ids))

    def spawn(self, ids: Ids, columns: Mapping[str, Column]) -> None:
        """Adds entities at the end; components that are not given are zero.

        Raises:
            ValueError: An id exists already, or twice, or a component is unknown; nothing is added then.
        """
        unknown = columns.keys() - self._columns.keys()
        if unknown:
            raise ValueError(f"{min(unknown)!r} is no component here: there are {', '.join(self._columns)}")
        new = ids.tolist()
        index = self._rows_by_id()
        if len(set(new)) != len(new) or not index.keys().isdisjoint(new):
            raise ValueError("an entity with one of these ids exists already")
        first = self._count
        self._reserve(first + len(new))
        self._ids[first : first + len(new)] = ids
        for name, column in self._columns.items():
            column[first : first + len(new)] = columns.get(name, 0)
        index.update(zip(new, range(first, first + len(new)), strict=True))
        self._count += len(new)
        self.layout += 1

    def despawn(self, ids: Ids) -> None:
        """Removes entities one after another: each hole is filled with the row that is then the last.

        Raises:
            ValueError: One of them does not exist; nothing is removed then.
        """
        index = self._rows_by_id()
        gone = ids.tolist()
        if len(set(gone)) != len(gone) or not index.keys() >= set(gone):
            raise ValueError("an entity with one of these ids does not exist")
        for entity in gone:
            row, last = index.pop(entity), self._count - 1
            if row != last:
                moved = int(self._ids[last])
                self._ids[row] = moved
                for column in self._columns.values():
                    column[row] = column[last]
                index[moved] = row
            self._count = last
        self.layout += 1

    def digest(self) -> int:
        """xxh3 of everything, row order included."""
        return digest_arrays(self._count, [self.ids, *self.columns().values()])

    def copy(self) -> Table:
        """An independent table with the same content."""
        other = Table(self.schema)
        other.resize(self._count)
        other.ids[:] = self.ids
        for name, column in other.columns().items():
            column[:] = self.column(name)
        other.ids_changed()
        return other

    # --- for the state stream

    def resize(self, count: int) -> None:
        """Cuts rows off, or appends rows of zeros with id 0, to be written by the caller."""
        self._reserve(count)
        if count > self._count:
            self._ids[self._count : count] = 0
            for column in self._columns.values():
                column[self._count : count] = 0
        if count != self._count:
            self._count = count
            self.ids_changed()

    def ids_changed(self) -> None:
        """Ids were written in place."""
        self._index = None
        self.layout += 1

    def _rows_by_id(self) -> dict[int, int]:
        if self._index is None:
            self._index = dict(zip(self.ids.tolist(), range(self._count), strict=True))
        return self._index

    def _reserve(self, count: int) -> None:
        capacity = len(self._ids)
        if count <= capacity:
            return
        capacity = max(count, 2 * capacity, _SMALLEST)
        self._ids = _grown(self._ids, capacity, self._count).view(np.int64)
        self._columns = {name: _grown(column, capacity, self._count) for name, column in self._columns.items()}


def _grown(array: npt.NDArray[np.generic], capacity: int, count: int) -> npt.NDArray[np.generic]:
    grown = np.empty((capacity, *array.shape[1:]), array.dtype)
    grown[:count] = array[:count]
    return grown
