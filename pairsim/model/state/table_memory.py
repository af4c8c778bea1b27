"""The memory of a table's arrays.

An ordinary table has arrays of its own, which are copied into larger ones when it grows. The table of an engine lies in
memory that the node and the engine share, at places that never change and with a bound on the number of rows.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from pairsim.model.state.schema import Schema

Ids = npt.NDArray[np.int64]
Column = npt.NDArray[np.generic]

_MIN_ROWS = 64


class TableFullError(ValueError):
    """The memory of a table does not hold so many rows."""


class TableArrays(NamedTuple):
    """The arrays of a table, all of the same number of rows.

    Attributes:
        ids: The ids, int64 (rows,).
        columns: The values by component name in the schema's order, (rows,) or (rows, width).
    """

    ids: Ids
    columns: dict[str, Column]


class TableMemory(Protocol):
    """Where the arrays of one table are."""

    def reserve(self, arrays: TableArrays | None, kept: int, rows: int) -> TableArrays:
        """Returns arrays for at least `rows` rows, of which the first `kept` rows have their content.

        Args:
            arrays: The arrays that the table has so far; None for a new table.
            kept: The number of rows that the table has.
            rows: The number of rows that it needs.

        Raises:
            TableFullError: The memory does not hold so many rows.
        """


class OwnMemory:
    """Arrays of the process's own memory, which are copied into larger ones."""

    def __init__(self, schema: Schema) -> None:
        """Takes the components of the table."""
        self._schema = schema

    def reserve(self, arrays: TableArrays | None, kept: int, rows: int) -> TableArrays:
        """Returns new arrays with the content of the given ones."""
        if arrays is None:
            columns = {c.name: np.empty((rows, c.width) if c.width > 1 else rows, c.dtype) for c in self._schema}
            return TableArrays(np.empty(rows, np.int64), columns)
        capacity = next_capacity(len(arrays.ids), rows)
        return TableArrays(
            _grown(arrays.ids, capacity, kept).view(np.int64),
            {name: _grown(column, capacity, kept) for name, column in arrays.columns.items()},
        )


def next_capacity(capacity: int, rows: int) -> int:
    """Returns the number of rows to reserve for a table that has room for `capacity` rows and needs more."""
    return max(rows, 2 * capacity, _MIN_ROWS)


def _grown(array: npt.NDArray[np.generic], capacity: int, count: int) -> npt.NDArray[np.generic]:
    """Returns a larger array that begins with the first `count` rows of the given one."""
    grown = np.empty((capacity, *array.shape[1:]), array.dtype)
    grown[:count] = array[:count]
    return grown
