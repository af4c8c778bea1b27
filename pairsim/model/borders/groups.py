"""Groups of entities: one without a parent, and all that belong to it.

The component `parent` has the id of the entity that another one belongs to; 0 and less stand for none. An entity whose
parent is not in the table has no parent here. Of a ring of parents, the entity with the smallest id counts as the one
without a parent. Most groups are flat, and most entities have neither a parent nor children. So a few steps go up and
down from the entities in question, and only deep groups cost a look at all entities that have a parent: there every
entity finds the end of its way up by pointer doubling (Wyllie: The Complexity of Parallel Computations, 1979).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pairsim.model.borders.entity_sets import Ids, IdSet, Rows
from pairsim.model.state.table import Table

PARENT = "parent"

_STEPS = 6
"""The depth of groups up to which steps are taken."""


class GroupRows(NamedTuple):
    """The rows of groups.

    Attributes:
        rows: The rows of all groups, group after group: the one without a parent, then the others by id, intp (k,).
        sizes: The number of entities of each group, int64 (g,).
    """

    rows: Rows
    sizes: Ids


class Groups:
    """The groups of a table, as long as the table does not change."""

    def __init__(self, table: Table) -> None:
        """Takes a table, with a component `parent` or without."""
        self._table = table
        none = PARENT not in table.schema
        self._parents: Ids = np.zeros(0, np.int64) if none else table.column(PARENT).astype(np.int64, copy=False)
        self._children: Rows = np.flatnonzero(self._parents > 0)

    def roots(self, rows: Rows) -> Rows:
        """Returns the row of the entity without a parent that each of these rows belongs to, intp (n,)."""
        if not len(self._children):
            return rows
        nodes = frontier = np.unique(rows)
        for _ in range(_STEPS):
            above = np.unique(self._above(frontier))
            frontier = above[~np.isin(above, nodes, assume_unique=True)]
            if not len(frontier):
                break
            nodes = np.union1d(nodes, frontier)
        else:
            nodes = np.union1d(np.union1d(nodes, self._children), np.unique(self._above(self._children)))
        return nodes[self._ends(nodes)[np.searchsorted(nodes, rows)]]

    def members(self, roots: Rows) -> GroupRows:
        """Returns the groups of entities without a parent, given by their rows, each once."""
        if not len(self._children):
            return GroupRows(roots, np.ones(len(roots), np.int64))
        found, groups = self._below(roots)
        rows, groups = np.concatenate((roots, found)), np.concatenate((np.arange(len(roots)), groups))
        later = np.arange(len(rows)) >= len(roots)
        order = np.lexsort((self._table.ids[rows], later, groups))
        return GroupRows(rows[order], np.bincount(groups, minlength=len(roots)).astype(np.int64))

    def _above(self, rows: Rows) -> Rows:
        """Returns the rows of parents; the same row for an entity without one."""
        above = rows.copy()
        has = np.flatnonzero(self._parents[rows] > 0)
        parents = self._table.rows(self._parents[rows[has]])
        above[has] = np.where(parents >= 0, parents, rows[has])
        return above

    def _ends(self, nodes: Rows) -> Rows:
        """Returns for each of these rows the place of the one without a parent.

        Args:
            nodes: Rows in ascending order, with all that are above them.
        """
        ids = self._table.ids[nodes]
        by_id = np.argsort(ids)
        least = np.empty(len(nodes), np.intp)
        least[by_id] = np.arange(len(nodes))
        jump = np.searchsorted(nodes, self._above(nodes))
        # After k rounds `jump` is 2**k steps up, and `least` is the smallest id on this way.
        for _ in range(len(nodes).bit_length()):
            least = np.minimum(least, least[jump])
            further = jump[jump]
            if np.array_equal(further, jump):
                break
            jump = further
        return by_id[least[jump]]

    def _below(self, roots: Rows) -> tuple[Rows, npt.NDArray[np.intp]]:
        """Returns all that belong to these entities without a parent, and the place of the entity in `roots`."""
        chosen = np.zeros(len(self._table), np.bool_)
        chosen[roots] = True
        children = self._children[~chosen[self._children]]
        parents = self._parents[children]
        frontier, groups = roots, np.arange(len(roots))
        found, found_groups = [np.empty(0, np.intp)], [np.empty(0, np.intp)]
        for _ in range(_STEPS):
            places, above = IdSet(self._table.ids[frontier]).find(parents)
            if not len(places):
                return np.concatenate(found), np.concatenate(found_groups)
            frontier, groups = children[places], groups[above]
            found.append(frontier)
            found_groups.append(groups)
        place = np.full(len(self._table), -1, np.intp)
        place[roots] = np.arange(len(roots))
        groups = place[self.roots(children)]
        return children[groups >= 0], groups[groups >= 0]
