"""The physics in plain numpy: the definition that the compiled kernels must match bit for bit.

It uses only + - * / and comparisons on float32, in a fixed order, so that neither a vector width nor a compiler can
change a bit. It avoids `minimum` and `maximum` where both sides may be zeros, because CPUs differ in which sign of zero
they keep.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pairsim.simulators.grid import Grid

Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.intp]

CELL_MARGIN = 1.0001
"""The edge of a cell in diameters. It is above 1, so that rounding cannot separate two spheres that touch."""

MIN_SQUARE_DISTANCE = np.float32(1e-30)
"""In square metres. Centres that are closer have no usable line between them, so the pair does not collide."""


def move(position: Floats, velocity: Floats, top: np.float32, dt: np.float32, low: Floats, high: Floats) -> None:
    """Moves entities by one step and reflects them at the box; in place.

    Args:
        position: (n, 3) metres.
        velocity: (n, 3) metres per second; limited to `top` on every axis first.
        top: The highest speed on an axis.
        dt: Seconds per tick.
        low: The lower corner of the box, (3,) metres.
        high: The upper corner of the box, (3,) metres.
    """
    limit(velocity, top)
    position += velocity * dt
    below = position < low
    position[below] = (low + (low - position))[below]
    above = position > high
    position[above] = (high - (position - high))[above]
    turned = below | above
    velocity[turned] = -velocity[turned]
    # One reflection is not enough for an entity that a client has put far outside.
    np.copyto(position, low, where=position < low)
    np.copyto(position, high, where=position > high)


def limit(velocity: Floats, top: np.float32) -> None:
    """Limits every component of a velocity to `top`, in place."""
    velocity[velocity > top] = top
    velocity[velocity < -top] = -top


def grid_of(position: Floats, diameter: np.float32) -> Grid:
    """Returns the grid over entities, at least one."""
    low, high = position.min(axis=0).tolist(), position.max(axis=0).tolist()
    return Grid.over(low, high, float(diameter) * CELL_MARGIN, len(position))


def collide(position: Floats, velocity: Floats, diameter: np.float32, top: np.float32) -> None:
    """Elastic collisions of equal spheres; changes velocities in place.

    Every pair that touches and approaches swaps the velocities along its line, pair after pair as in a Gauss-Seidel
    iteration, so that each swap keeps momentum and energy, however many contacts an entity has. (All pairs at once,
    as in a Jacobi iteration, would add energy where contacts share an entity: a dense world would heat up.) The order
    of the pairs is a part of the result: by the places of their entities in the cell list, which follow from the
    positions and from the rows of the table alone.

    Args:
        position: (n, 3) metres.
        velocity: (n, 3) metres per second.
        diameter: The diameter of a sphere, in metres.
        top: The highest speed on an axis; a swap is limited to it.
    """
    if len(position) == 0:
        return
    start, order, cell = cell_list(position, grid := grid_of(position, diameter))
    near, moving = position[order], velocity[order]
    first, second = _touching_pairs(near, start, cell, grid, diameter * diameter)
    while len(first):
        ready = _independent_pairs(first, second, len(order))
        _swap(near, moving, first[ready], second[ready])
        first, second = first[~ready], second[~ready]
    limit(moving, top)
    velocity[order] = moving


def cell_list(position: Floats, grid: Grid) -> tuple[Places, Places, Places]:
    """Sorts entities by cell (Allen & Tildesley, "Computer Simulation of Liquids", 5.3).

    Returns:
        The first place of every cell and one more, (cells + 1,); the rows in the order of the cells, and within a
        cell in the order of the table, without the rows beyond the crowd, (m,); and their cells, (m,).
    """
    low, inverse = np.array(grid.low, np.float32), np.float32(1) / np.float32(grid.edge)
    index = ((position - low) * inverse).astype(np.int64)
    index = np.minimum(index, np.array(grid.counts) - 1) + 1
    cell = (index[:, 2] * (grid.counts[1] + 2) + index[:, 1]) * (grid.counts[0] + 2) + index[:, 0]
    order = np.argsort(cell, kind="stable")
    ranks = np.arange(len(cell)) - np.searchsorted(cell[order], cell[order], side="left")
    order = order[ranks < grid.crowd]
    start = np.zeros(grid.cells + 1, np.intp)
    start[1:] = np.cumsum(np.bincount(cell[order], minlength=grid.cells))
    return start, order, cell[order]


def _touching_pairs(near: Floats, start: Places, cell: Places, grid: Grid, reach: np.float32) -> tuple[Places, Places]:
    """Returns the pairs of places that touch, each once, ordered by the earlier place and then by the later one."""
    count = len(near)
    row, layer = grid.counts[0] + 2, (grid.counts[0] + 2) * (grid.counts[1] + 2)
    pairs: list[Places] = [np.empty((2, 0), np.intp)]
    for offset in (0, row, layer - row, layer, layer + row):
        begin = np.arange(1, count + 1) if offset == 0 else start[cell + offset - 1]
        end = start[cell + offset + 2]
        for step in range(int((end - begin).max())):
            first = np.flatnonzero(begin + step < end)
            second = begin[first] + step
            apart = near[first] - near[second]
            square = _dot(apart, apart)
            touch = (square < reach) & (square > MIN_SQUARE_DISTANCE)
            pairs.append(np.stack((first[touch], second[touch])))
    first, second = np.concatenate(pairs, axis=1)
    sort = np.lexsort((second, first))
    return first[sort], second[sort]


def _independent_pairs(first: Places, second: Places, count: int) -> npt.NDArray[np.bool_]:
    """Returns which of the ordered pairs share no entity with an earlier pair, so that they can collide together."""
    numbers = np.arange(len(first))
    earliest = np.full(count, len(first))
    np.minimum.at(earliest, first, numbers)
    np.minimum.at(earliest, second, numbers)
    ready: npt.NDArray[np.bool_] = (earliest[first] == numbers) & (earliest[second] == numbers)
    return ready


def _swap(near: Floats, moving: Floats, first: Places, second: Places) -> None:
    apart, relative = near[first] - near[second], moving[first] - moving[second]
    along = _dot(apart, relative)
    meet = along < 0
    apart, first, second = apart[meet], first[meet], second[meet]
    push = (along[meet] / _dot(apart, apart))[:, None] * apart
    moving[first] -= push
    moving[second] += push


def _dot(one: Floats, other: Floats) -> Floats:
    """Returns the dot products row by row, (n,), with a fixed order of the sum, which `einsum` does not promise."""
    product: Floats = one[:, 0] * other[:, 0] + one[:, 1] * other[:, 1] + one[:, 2] * other[:, 2]
    return product
