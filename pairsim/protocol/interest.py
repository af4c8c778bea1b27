"""The frames that an observer of an area of interest is sent: pure functions over snapshots of its content.

A frame is the difference to the snapshot that was last *sent*, not to the tick before. So an observer may be sent fewer
frames and still ends up with exactly the content of the box.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import msgspec
import numpy as np
import numpy.typing as npt

from pairsim.protocol.bounds import POSITION, Bounds
from pairsim.protocol.frames import Column, Frame, Rows

if TYPE_CHECKING:
    from pairsim.model.state.table import TableView

Ids = npt.NDArray[np.int64]
Index = npt.NDArray[np.intp]
Values = npt.NDArray[np.generic]

_IDS = np.dtype("<i8")

NO_IDS: Ids = np.empty(0, _IDS)
NO_IDS.flags.writeable = False


class AreaSnapshot(msgspec.Struct, frozen=True):
    """The content of an area of interest at a committed tick.

    Attributes:
        tick: The committed tick of the state that the snapshot was taken from.
        term: The term of that tick.
        ids: Ids of the entities, int64 (n,), in any order.
        columns: Selected components by name, (n,) or (n, width), in the order of `ids`.
        clock: The clock of the tick; 0 if it is not known.
        since: The clock of the tick after which departures are known.
        moved: Ids of the entities that went to another area since then and are not in this one, by its name.
        gone: Ids of the entities that were removed since then.
    """

    tick: int
    term: int
    ids: Ids
    columns: dict[str, Values]
    clock: int = 0
    since: int = 0
    moved: dict[str, Ids] = {}
    gone: Ids = NO_IDS


def rows_in_box(table: TableView, box: Bounds | None) -> Index:
    """Returns the rows of the entities in a half-open box, intp (n,), ascending; without a box, all rows."""
    if box is None:
        return np.arange(len(table), dtype=np.intp)
    position = cast("npt.NDArray[np.floating]", table.column(POSITION))
    inside = np.ones(len(table), np.bool_)
    for axis, (low, high) in enumerate(zip(box.low, box.high, strict=True)):
        values = position[:, axis]
        if np.isfinite(low):
            inside &= values >= np.float64(low)  # a plain float would be rounded to float32 first
        if np.isfinite(high):
            inside &= values < np.float64(high)
    return np.flatnonzero(inside)


def extract(
    table: TableView, *, tick: int, term: int, box: Bounds | None, components: Sequence[str], limit: int
) -> AreaSnapshot | None:
    """Returns a copy of the content of a box; None if the box holds more than `limit` entities.

    Args:
        table: The state at `tick`.
        tick: A committed tick.
        term: The term of that tick.
        box: Selects entities by position; None selects all.
        components: Names of the components to copy; all if empty.
        limit: The largest number of entities.
    """
    rows = rows_in_box(table, box)
    if len(rows) > limit:
        return None
    names = components or tuple(table.columns())
    columns = {name: table.column(name)[rows] for name in names}
    return AreaSnapshot(tick, term, table.ids[rows], columns)


def diff(before: AreaSnapshot | None, after: AreaSnapshot, *, after_gap: bool = False) -> Frame:
    """Returns the frame that brings an observer from one snapshot to a later one; a keyframe without an earlier one.

    Args:
        before: What the observer has.
        after: What it gets.
        after_gap: Whether a keyframe names all departures that the snapshot knows.
    """
    if before is None:
        everything = np.arange(len(after.ids), dtype=np.intp)
        entered, updated = _rows(after, everything), _rows(after, everything[:0])
        moved, gone = (after.moved, after.gone) if after_gap else ({}, NO_IDS)
        return Frame(after.tick, after.term, True, entered, updated, b"", after.clock, _by_area(moved), _bytes(gone))
    common_before, common_after = _matches(before.ids, after.ids)
    changed = np.zeros(len(common_after), np.bool_)
    for name, column in after.columns.items() if len(changed) else ():
        changed |= _differ(before.columns[name], column, common_before, common_after)
    left = before.ids[_others(len(before.ids), common_before)]
    moved = {name: ids[_matches(ids, left)[0]] for name, ids in after.moved.items()} if len(left) else {}
    return Frame(
        tick=after.tick,
        term=after.term,
        keyframe=False,
        enter=_rows(after, _others(len(after.ids), common_after)),
        update=_rows(after, common_after[changed]),
        leave=_bytes(left),
        clock=after.clock,
        moved=_by_area(moved),
        gone=_bytes(after.gone[_matches(after.gone, left)[0]] if len(left) else NO_IDS),
    )


def apply(before: AreaSnapshot | None, frame: Frame) -> AreaSnapshot:
    """Returns the content after a frame, on the observer's side.

    Raises:
        ValueError: The frame does not follow from the content before it.
    """
    entered = np.frombuffer(frame.enter.ids, _IDS)
    added = _columns(frame.enter)
    moved = {name: np.frombuffer(ids, _IDS) for name, ids in frame.moved.items()}
    gone = np.frombuffer(frame.gone, _IDS)
    if frame.keyframe or before is None:
        return AreaSnapshot(frame.tick, frame.term, entered, added, frame.clock, 0, moved, gone)
    ids, columns = before.ids, dict(before.columns)
    if len(frame.update):
        updated = np.frombuffer(frame.update.ids, _IDS)
        sources, targets = _matches(updated, ids)
        if len(sources) != len(updated):
            raise ValueError("the frame updates an entity that has not entered")
        for name, values in _columns(frame.update).items():
            columns[name] = columns[name].copy()
            columns[name][targets] = values[sources]
    if frame.leave:
        gone, _ = _matches(ids, np.frombuffer(frame.leave, _IDS))
        stay = _others(len(ids), gone)
        ids, columns = ids[stay], {name: column[stay] for name, column in columns.items()}
    if len(entered):
        ids = np.concatenate([ids, entered])
        # A snapshot without entities has no columns either.
        columns = {n: np.concatenate([columns[n], values]) if n in columns else values for n, values in added.items()}
    return AreaSnapshot(frame.tick, frame.term, ids, columns, frame.clock, 0, moved, gone)


def _matches(left: Ids, right: Ids) -> tuple[Index, Index]:
    """Returns the indices of the ids that are in both arrays, pairwise."""
    if np.array_equal(left, right):
        same = np.arange(len(left), dtype=np.intp)
        return same, same
    _, at_left, at_right = np.intersect1d(left, right, assume_unique=True, return_indices=True)
    return at_left, at_right


def _bytes(ids: Ids) -> bytes:
    return ids.astype(_IDS, copy=False).tobytes()


def _by_area(moved: dict[str, Ids]) -> dict[str, bytes]:
    return {name: _bytes(ids) for name, ids in moved.items() if len(ids)}


def _others(count: int, indices: Index) -> Index:
    rest = np.ones(count, np.bool_)
    rest[indices] = False
    return np.flatnonzero(rest)


def _differ(before: Values, after: Values, at_before: Index, at_after: Index) -> npt.NDArray[np.bool_]:
    """Compares rows bit for bit, so that a NaN equals itself and -0.0 is not 0.0."""
    old, new = _bits(before[at_before]), _bits(after[at_after])
    different: npt.NDArray[np.bool_] = np.not_equal(old, new).reshape(len(new), -1)
    return np.asarray(different.any(axis=1))


def _bits(values: Values) -> Values:
    return np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}")


def _rows(snapshot: AreaSnapshot, rows: Index) -> Rows:
    if not len(rows):
        return Rows()
    columns = {name: _column(values[rows]) for name, values in snapshot.columns.items()}
    return Rows(snapshot.ids[rows].astype(_IDS, copy=False).tobytes(), columns)


def _column(values: Values) -> Column:
    little = values.astype(values.dtype.newbyteorder("<"), copy=False)
    width = values.shape[1] if values.ndim == 2 else 1
    return Column(little.dtype.str, width, little.tobytes())


def _columns(rows: Rows) -> dict[str, Values]:
    return {name: to_array(column) for name, column in rows.components.items()}


def to_array(column: Column) -> Values:
    """Returns a column's values as a read-only array of its dtype, (n,) or (n, width)."""
    values: Values = np.frombuffer(column.data, np.dtype(column.dtype))
    return values.reshape(-1, column.width) if column.width > 1 else values


def ids_of(data: bytes) -> Ids:
    """Returns the ids in a field of a frame, read-only int64 (n,)."""
    return np.frombuffer(data, _IDS)


def rows_of(snapshot: AreaSnapshot, ids: Sequence[int]) -> Rows:
    """Returns the entities of a snapshot that have these ids."""
    if not ids:
        return Rows()
    places, _ = _matches(snapshot.ids, np.array(sorted(ids), _IDS))
    return _rows(snapshot, places)


def without(rows: Rows, ids: Sequence[int]) -> Rows:
    """Returns the rows of all entities but these."""
    if not ids or not len(rows):
        return rows
    kept = ~np.isin(ids_of(rows.ids), np.array(ids, _IDS))
    if kept.all():
        return rows
    columns = {
        name: Column(column.dtype, column.width, to_array(column)[kept].tobytes())
        for name, column in rows.components.items()
    }
    return Rows(ids_of(rows.ids)[kept].tobytes(), columns) if kept.any() else Rows()


def joined(parts: Sequence[Rows]) -> Rows:
    """Returns the entities of several parts, which have the same components."""
    filled = [rows for rows in parts if len(rows)]
    if len(filled) < 2:
        return filled[0] if filled else Rows()
    columns = {
        name: Column(column.dtype, column.width, b"".join(rows.components[name].data for rows in filled))
        for name, column in filled[0].components.items()
    }
    return Rows(b"".join(rows.ids for rows in filled), columns)
