"""The physics in plain numpy: the definition that the compiled kernels must match bit for bit.

Only + - * / and comparisons on float32, in a fixed order, so that no vector width and no compiler can change a bit.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pairsim.simulators.grid import CROWD, Grid

Floats = npt.NDArray[np.float32]


def move(position: Floats, velocity: Floats, dt: np.float32, low: Floats, high: Floats) -> None:
    """Moves entities by one step and reflects them at the box; in place, (n, 3) each."""
    position += velocity * dt
    below = position < low
    position[below] = (low + (low - position))[below]
    above = position > high
    position[above] = (high - (position - high))[above]
    turned = below | above
    velocity[turned] = -velocity[turned]
    np.maximum(position, low, out=position)
    np.minimum(position, high, out=position)


def limit(velocity: Floats, top: np.float32) -> None:
    """Keeps every component of a velocity within a bound; in place."""
    np.maximum(velocity, -top, out=velocity)
    np.minimum(velocity, top, out=velocity)


def collide(position: Floats, velocity: Floats, grid: Grid, diameter: np.float32) -> None:
    """Elastic collisions of equal spheres; changes velocities in place.

    Every pair that touches and approaches swaps the velocities along its line. All changes are computed from the
    state before and summed per entity in the order of a cell list: rows of cells, then cells, then rows of the table.
    """
    start, order = cell_list(position, grid)
    count = len(order)
    sorted_position, sorted_velocity = position[order], velocity[order]
    own = np.repeat(np.arange(grid.cells), np.diff(start))
    change = np.zeros((count, 3), np.float32)
    reach = diameter * diameter
    row, layer = grid.counts[0] + 2, (grid.counts[0] + 2) * (grid.counts[1] + 2)
    for offset in [z * layer + y * row for z in (-1, 0, 1) for y in (-1, 0, 1)]:
        first, last = start[own + offset - 1], start[own + offset + 2]
        for place in range(int((last - first).max(initial=0))):
            mine = np.flatnonzero((first + place < last) & (first + place != np.arange(count)))
            other = (first + place)[mine]
            apart = sorted_position[mine] - sorted_position[other]
            square = apart[:, 0] * apart[:, 0] + apart[:, 1] * apart[:, 1] + apart[:, 2] * apart[:, 2]
            relative = sorted_velocity[mine] - sorted_velocity[other]
            along = apart[:, 0] * relative[:, 0] + apart[:, 1] * relative[:, 1] + apart[:, 2] * relative[:, 2]
            hit = np.flatnonzero((square < reach) & (square > 0) & (along < 0))
            factor = along[hit] / square[hit]
            change[mine[hit]] -= factor[:, None] * apart[hit]
    velocity[order] += change


def cell_list(position: Floats, grid: Grid) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Sorts entities by cell (Allen & Tildesley, "Computer Simulation of Liquids", 5.3).

    Returns:
        The first place of every cell and one more, (cells + 1,), and the rows in that order, without those beyond
        `CROWD` in a cell.
    """
    low, inverse = np.array(grid.low, np.float32), np.float32(1) / np.float32(grid.edge)
    index = ((position - low) * inverse).astype(np.int64)
    index = np.minimum(index, np.array(grid.counts) - 1) + 1
    cell = (index[:, 2] * (grid.counts[1] + 2) + index[:, 1]) * (grid.counts[0] + 2) + index[:, 0]
    order = np.argsort(cell, kind="stable")
    ranks = np.arange(len(cell)) - np.searchsorted(cell[order], cell[order], side="left")
    order = order[ranks < CROWD]
    start = np.zeros(grid.cells + 1, np.int64)
    start[1:] = np.cumsum(np.bincount(cell[order], minlength=grid.cells))
    return start, order
