"""The first difference between two states of an area, in words for the author of a simulator."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pairsim.model.state.table import TableView


def first_difference(table: TableView, expected: TableView) -> str:
    """Returns what one state has in place of the other, `another height in row 0 (entity 7), 0.5 in place of 0.25`.

    Args:
        table: The state that is described.
        expected: Another state with the same components.

    Returns:
        A phrase; empty if the states are equal bit for bit.
    """
    if len(table) != len(expected):
        return f"{len(table):,} rows in place of {len(expected):,}"
    place = _first_unequal(table.ids, expected.ids)
    if place is not None:
        row, _number = place
        return f"another entity in row {row}, {table.ids[row]} in place of {expected.ids[row]}"
    others = expected.columns()
    for name, column in table.columns().items():
        place = _first_unequal(column, others[name])
        if place is not None:
            row, number = place
            values = [one[row] if one.ndim == 1 else one[row, number] for one in (column, others[name])]
            label = name if column.ndim == 1 else f"{name}[{number}]"
            return f"another {label} in row {row} (entity {table.ids[row]}), {values[0]} in place of {values[1]}"
    return ""


def _first_unequal(mine: npt.NDArray[np.generic], theirs: npt.NDArray[np.generic]) -> tuple[int, int] | None:
    """Returns row and place of the first number whose bits differ."""
    if not mine.size:
        return None
    bits = [np.ascontiguousarray(one).view(f"u{one.itemsize}").reshape(len(one), -1) for one in (mine, theirs)]
    unequal = bits[0] != bits[1]
    if not unequal.any():
        return None
    row, number = divmod(int(np.argmax(unequal)), unequal.shape[1])
    return row, number
