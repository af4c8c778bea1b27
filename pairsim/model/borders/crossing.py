"""What a tick does after its step: it counts births and deaths, and sends what has left the area's cell."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pairsim.model.borders.departures import DIED, Areas
from pairsim.model.borders.entity_sets import NO_IDS, Ids, IdSet, Rows
from pairsim.model.borders.groups import GroupRows, Groups
from pairsim.model.borders.messages import Bundle
from pairsim.model.borders.state import BorderState
from pairsim.model.state.memory_need import row_bytes
from pairsim.model.state.table import Table

POSITION = "position"

_NO_AREAS: Areas = np.empty(0, np.int32)


class Lives(NamedTuple):
    """The entities that a step made and removed, in ascending order.

    Attributes:
        born: The new ones, int64 (b,).
        died: Those that were removed, int64 (d,).
        refused: New ones that are removed again, because an entity of this id is in an outbox, int64 (r,).
    """

    born: Ids = NO_IDS
    died: Ids = NO_IDS
    refused: Ids = NO_IDS


class Crossings(NamedTuple):
    """The entities that cross to other areas.

    Attributes:
        ids: The entities, int64 (k,).
        areas: The area that each of them crosses to, int32 (k,).
    """

    ids: Ids = NO_IDS
    areas: Areas = _NO_AREAS


def count_lives(state: BorderState, table: Table, before: Ids) -> Lives:
    """Counts births and deaths of a step, after it and before `cross`.

    Args:
        state: The state of the borders.
        table: The entities after the step.
        before: The ids by row before the step and after `take`; a copy, or those of a snapshot.
    """
    born, died = _difference(before, table.ids)
    refused = born[state.waits(born)]
    if len(refused):
        table.despawn(refused)
        born = born[~IdSet(refused).mask(born)]
        state.counters.conflicts += len(refused)
    state.counters.born += len(born)
    state.counters.died += len(died)
    state.ahead, state.held = state.ahead.without(died), state.held.without(died)
    state.departures = state.departures.add(state.clock, died, np.full(len(died), DIED, np.int32))
    return Lives(born, died, refused)


def cross(state: BorderState, table: Table, tick: int) -> Crossings:
    """Moves entities whose position another area owns from the table to the outbox for this area, after the step.

    Args:
        state: The state of the borders.
        table: The entities after the step; those that cross are removed.
        tick: The number of the tick.
    """
    state.held = state.held.above(tick)
    rows = _rows_outside(state, table)
    crossings = Crossings()
    state.counters.nowhere = 0
    if len(rows):
        owners = state.map.owners(table.column(POSITION)[rows])
        nowhere = table.ids[rows[owners == 0]]
        crossings = _Leaving(state, table, rows[owners != 0], owners[owners != 0]).cross()
        # Some of them cross with the entity that they belong to.
        state.counters.nowhere = len(nowhere) - int(np.count_nonzero(IdSet(nowhere).mask(crossings.ids)))
    else:
        state.queue = NO_IDS
    state.departures = state.departures.add(state.clock, *crossings).trimmed(state.limits)
    return crossings


def _rows_outside(state: BorderState, table: Table) -> Rows:
    if POSITION not in table.schema or not state.map.cells:
        return np.empty(0, np.intp)
    return state.map.rows_outside(state.number, table.column(POSITION))


def _difference(before: Ids, after: Ids) -> tuple[Ids, Ids]:
    """Returns the ids that are only in the second array, and those that are only in the first, in ascending order."""
    both = min(len(before), len(after))
    changed = np.flatnonzero(before[:both] != after[:both])
    old, new = np.concatenate((before[changed], before[both:])), np.concatenate((after[changed], after[both:]))
    return np.sort(new[~IdSet(old).mask(new)]), np.sort(old[~IdSet(new).mask(old)])


class _Leaving:
    """The entities outside the cell of an area, in the cells of others."""

    def __init__(self, state: BorderState, table: Table, rows: Rows, owners: Areas) -> None:
        self._state, self._table = state, table
        self._largest = max(state.limits.bytes // row_bytes(table.schema), 1)
        self._most = max(min(state.limits.transfers, self._largest), 1)
        groups = Groups(table)
        without_parent = groups.roots(rows) == rows
        rows, owners = rows[without_parent], owners[without_parent]
        order = self._oldest_first(table.ids[rows])
        self._owners = owners[order]
        self._groups = groups.members(rows[order])
        self._leave_what_stays()

    def cross(self) -> Crossings:
        """Sends as many groups as may cross, and notes which others wait."""
        state, table, sizes = self._state, self._table, self._groups.sizes
        firsts = np.cumsum(sizes) - sizes
        roots = table.ids[self._groups.rows[firsts]]
        chosen = self._within_limits()
        state.queue = roots[~chosen]
        ids, areas = [NO_IDS], [_NO_AREAS]
        for area in np.unique(self._owners[chosen]).tolist():
            bundle = self._bundle(chosen & (self._owners == area))
            state.send(area, bundle)
            ids.append(bundle.ids)
            areas.append(np.full(len(bundle), area, np.int32))
        crossings = Crossings(np.concatenate(ids), np.concatenate(areas))
        if len(crossings.ids):
            table.despawn(crossings.ids)
        state.ahead, state.held = state.ahead.without(crossings.ids), state.held.without(crossings.ids)
        state.counters.sent += len(crossings.ids)
        return crossings

    def _oldest_first(self, ids: Ids) -> npt.NDArray[np.intp]:
        """Returns the order in which entities may cross: those that wait longest, then by id."""
        queue = self._state.queue
        if not len(queue):
            return np.argsort(ids)
        place = np.full(len(ids), len(queue))
        found, places = IdSet(queue).find(ids)
        place[found] = places
        return np.lexsort((ids, place))

    def _leave_what_stays(self) -> None:
        """Leaves out the groups with an entity that has to stay: it came by a newer map, or was refused."""
        state = self._state
        if not len(state.ahead) and not len(state.held):
            return
        rows, sizes = self._groups
        ids = self._table.ids[rows]
        stays = state.ahead.mask(ids) | state.held.mask(ids)
        if not stays.any():
            return
        leaves = ~np.logical_or.reduceat(stays, np.cumsum(sizes) - sizes)
        self._groups = GroupRows(rows[np.repeat(leaves, sizes)], sizes[leaves])
        self._owners = self._owners[leaves]

    def _within_limits(self) -> npt.NDArray[np.bool_]:
        """Returns which groups may cross in this tick, bool (g,)."""
        limits, sizes, owners = self._state.limits, self._groups.sizes, self._owners
        links = {area: self._state.link(area) for area in np.unique(owners).tolist()}
        waiting = {area: link.rows for area, link in links.items()}
        most = max(limits.waiting, 1)
        rooms = {area: most - link.rows if link.bundles < limits.messages else 0 for area, link in links.items()}
        open_to = [np.flatnonzero(owners == area) for area, room in rooms.items() if room > 0]
        alone = len(sizes) == len(self._groups.rows)
        if alone:
            open_to = [places[: rooms[int(owners[places[0]])]] for places in open_to]
        places = np.sort(np.concatenate([np.empty(0, np.intp), *open_to]))
        chosen = np.zeros(len(sizes), np.bool_)
        if alone:
            chosen[places[: self._most]] = True
            return chosen
        crossed = 0
        for place, area, size in zip(places.tolist(), owners[places].tolist(), sizes[places].tolist(), strict=True):
            if size > self._largest:
                continue
            if crossed and crossed + size > self._most:
                if crossed >= self._most:
                    break
                continue
            if waiting[area] and waiting[area] + size > limits.waiting:
                continue
            chosen[place] = True
            crossed += size
            waiting[area] += size
        return chosen

    def _bundle(self, chosen: npt.NDArray[np.bool_]) -> Bundle:
        """Returns some of the groups as they leave."""
        rows = self._groups.rows[np.repeat(chosen, self._groups.sizes)]
        ids = self._table.ids[rows]
        return Bundle(
            ids,
            {name: column[rows] for name, column in self._table.columns().items()},
            self._groups.sizes[chosen],
            version=self._state.version,
            memory=self._state.answers.memory(IdSet(ids), self._state.limits.memory),
        )
