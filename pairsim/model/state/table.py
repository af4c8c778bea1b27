"""The table of an area: its entities as a struct of arrays.

Rows are dense: the last row moves into the place of a removed one, so that a step runs over plain arrays. The order of
the rows is part of the state, since a step may depend on it; therefore it is in the digest and in the state stream.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from pairsim.model.state.digest import digest_arrays
from pairsim.model.state.entity_index import EntityIndex
from pairsim.model.state.row_removal import removal_moves
from pairsim.model.state.schema import Schema
from pairsim.model.state.table_memory import Column, Ids, OwnMemory, TableArrays, TableMemory

_COMPARED_IDS = 64
"""How many ids are found by a comparison with all rows before the lookup by id is built, which takes as long as 150
comparisons or more. The engine of a replica that takes over has no lookup yet, and clients wait for its first tick."""

_layouts = itertools.count(1)
"""A state moves from table to table, and so must not meet a layout again that another table has had."""


class TableView:
    """The entities of an area to read, one per row; row r of every column belongs to the entity `ids[r]`.

    Attributes:
        schema: The components, one per column.
        layout: A number that changes whenever the ids or the order of the rows change. No two tables of a process ever
            have the same one.
    """

    def __init__(self, schema: Schema, arrays: TableArrays, count: int, layout: int) -> None:
        """Takes arrays with at least `count` rows.

        Args:
            schema: The components.
            arrays: The ids and the columns by name.
            count: The number of rows.
            layout: The number that stands for the ids and their order.
        """
        self.schema = schema
        self.layout = layout
        self._count = count
        self._ids, self._columns = arrays

    def __len__(self) -> int:
        return self._count

    @property
    def ids(self) -> Ids:
        """The entity ids by row, int64 (n,); a view."""
        return self._ids[: self._count]

    def column(self, name: str) -> npt.NDArray[np.generic]:
        """Returns a component's values by row, (n,) or (n, width); a view, valid until the next spawn or despawn."""
        return self._columns[name][: self._count]

    def columns(self) -> dict[str, Column]:
        """Returns the values of all components in the schema's order; views."""
        return {name: column[: self._count] for name, column in self._columns.items()}

    def digest(self) -> int:
        """Returns the xxh3 hash of the whole state, including the order of the rows."""
        return digest_arrays(self._count, [self.ids, *self.columns().values()])

    def copy(self) -> Table:
        """Returns an independent table with the same content."""
        other = Table(self.schema)
        other.assign(self.ids, self.columns())
        return other


class Table(TableView):
    """The entities of an area, which a simulator changes."""

    def __init__(self, schema: Schema, memory: TableMemory | None = None) -> None:
        """Makes an empty table.

        Args:
            schema: The components.
            memory: Where the arrays are; without it, in the process's own memory.
        """
        self._memory: TableMemory = OwnMemory(schema) if memory is None else memory
        super().__init__(schema, self._memory.reserve(None, 0, 0), 0, next(_layouts))
        self._index: EntityIndex | None = None
        self._compared = 0

    @property
    def capacity(self) -> int:
        """The number of rows that the table holds before it reserves more memory."""
        return len(self._ids)

    def __contains__(self, entity: object) -> bool:
        return isinstance(entity, int) and self.row(entity) is not None

    def row(self, entity: int) -> int | None:
        """Returns the row of an entity, or None if the entity does not exist."""
        row = _first_row(self.ids, entity) if self._compares(1) else self._rows_by_id().row(entity)
        return row if row >= 0 else None

    def rows(self, ids: Ids) -> npt.NDArray[np.intp]:
        """Returns the rows of entities, intp (n,); -1 for an entity that does not exist.

        Raises:
            ValueError: An id is not a whole number.
        """
        ids = _whole_ids(ids)
        if self._compares(len(ids)):
            return np.fromiter((_first_row(self.ids, entity) for entity in ids.tolist()), np.intp, len(ids))
        return self._rows_by_id().rows(ids)

    def spawn(self, ids: Ids, columns: Mapping[str, Column]) -> None:
        """Appends entities; components that are not given are zero.

        Args:
            ids: The ids of the new entities, int64 (k,).
            columns: Values by component name, (k,) or (k, width).

        Raises:
            ValueError: An id exists already or is given twice, or a component is unknown; nothing is added then.
        """
        unknown = columns.keys() - self._columns.keys()
        if unknown:
            raise ValueError(f"the component {min(unknown)!r} is unknown, there are {', '.join(self._columns)}")
        ids = _whole_ids(ids)
        index = self._rows_by_id()
        if _has_twice(ids) or (index.rows(ids) >= 0).any():
            raise ValueError("an entity with one of these ids exists already")
        first, count = self._count, self._count + len(ids)
        self._reserve(count)
        self._ids[first:count] = ids
        for name, column in self._columns.items():
            column[first:count] = columns.get(name, 0)
        index.insert(ids, np.arange(first, count))
        self._count = count
        self.layout = next(_layouts)

    def despawn(self, ids: Ids) -> None:
        """Removes entities one after another: the row that is then the last moves into the place of the removed one.

        Raises:
            ValueError: An entity does not exist or is given twice; nothing is removed then.
        """
        ids = _whole_ids(ids)
        index = self._rows_by_id()
        found = index.places(ids)
        rows = index.rows_at(found)
        if _has_twice(rows) or (rows < 0).any():
            raise ValueError("an entity with one of these ids does not exist")
        places, moved = removal_moves(rows, self._count)
        index.remove_at(found)
        index.move(self._ids[moved], places)
        for column in (self._ids, *self._columns.values()):
            column[places] = column[moved]
        self._count -= len(ids)
        self.layout = next(_layouts)

    def assign(self, ids: Ids, columns: Mapping[str, Column]) -> None:
        """Replaces the whole content by copies of the given values.

        Args:
            ids: The ids by row, int64 (n,).
            columns: The values of every component by name, (n,) or (n, width).
        """
        count = len(ids)
        self._reserve(count)
        self._ids[:count] = ids
        for name, column in self._columns.items():
            column[:count] = columns[name]
        self._count = count
        self.ids_changed()

    # --- for code that writes ids and columns in place: the state stream, and the other side of shared memory

    def take_over(self, count: int, *, ids_changed: bool) -> None:
        """Adopts the rows that the other side of the shared memory has left there.

        The lookup by id is kept if the other side changed neither the ids nor their order.

        Args:
            count: The number of rows.
            ids_changed: Whether the ids or their order may have changed.

        Raises:
            TableFullError: The memory does not hold so many rows.
        """
        self._reserve(count)
        if ids_changed or count != self._count:
            self._count = count
            self.ids_changed()

    def resize(self, count: int) -> None:
        """Drops rows at the end, or appends rows of zeros with id 0, which the caller then overwrites."""
        self._reserve(count)
        if count > self._count:
            self._ids[self._count : count] = 0
            for column in self._columns.values():
                column[self._count : count] = 0
        if count != self._count:
            self._count = count
            self.ids_changed()

    def ids_changed(self) -> None:
        """Rebuilds the lookup by id after the caller wrote ids in place."""
        self._index, self._compared = None, 0
        self.layout = next(_layouts)

    def _compares(self, count: int) -> bool:
        """Returns whether to find so many ids by comparison, since the lookup does not pay off yet."""
        self._compared += count
        return self._index is None and self._compared <= _COMPARED_IDS

    def _rows_by_id(self) -> EntityIndex:
        if self._index is None:
            self._index = EntityIndex(self.ids)
        return self._index

    def _reserve(self, count: int) -> None:
        if count > len(self._ids):
            arrays = TableArrays(self._ids, self._columns)
            self._ids, self._columns = self._memory.reserve(arrays, self._count, count)


def _first_row(ids: Ids, entity: int) -> int:
    """Returns the row of an id, or -1 if no row has it."""
    found = np.flatnonzero(ids == entity)
    return int(found[0]) if len(found) else -1


def _has_twice(numbers: npt.NDArray[np.int64]) -> bool:
    """Returns whether a number comes more than once. To sort them takes a quarter of the time of `np.unique`."""
    ordered = np.sort(numbers)
    return bool((ordered[1:] == ordered[:-1]).any())


def _whole_ids(ids: npt.ArrayLike) -> Ids:
    """Returns ids as int64, whatever a simulator gives: the lookup by id and the column of ids must not differ.

    Raises:
        ValueError: An id is not a whole number.
    """
    given = np.asarray(ids)
    if given.dtype == np.int64:
        return given
    if given.size and given.dtype.kind not in "iuf":
        raise ValueError(f"ids are whole numbers, not {given.dtype}")
    with np.errstate(invalid="ignore"):
        whole = given.astype(np.int64)
    if not np.array_equal(whole, given):
        raise ValueError("ids are whole numbers below 2**63")
    return whole
