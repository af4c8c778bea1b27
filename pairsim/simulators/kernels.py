"""The compiled physics: faster than `reference.py`, with the same bits.

Only a replica that simulates imports this module, since numba alone takes more memory than a spare may use. The kernels
are compiled without fastmath: the compiler may neither reorder nor fuse operations, because a fused multiply-add would
round once where numpy rounds twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

from pairsim.simulators.grid import MAX_CELLS, Grid
from pairsim.simulators.reference import CELL_MARGIN, MIN_SQUARE_DISTANCE

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.int32]
_F = TypeVar("_F", bound=Callable[..., None])


def _compiled(signature: str) -> Callable[[_F], _F]:
    """Returns a decorator that compiles at import, and caches on disk if a folder is writable for a fast next start."""

    def compile_(function: _F) -> _F:
        try:
            return cast("_F", numba.njit(signature, nogil=True, cache=True, error_model="numpy")(function))
        except RuntimeError:
            log.warning("kernel cache not writable: every start compiles the kernels (set NUMBA_CACHE_DIR)")
            return cast("_F", numba.njit(signature, nogil=True, error_model="numpy")(function))

    return compile_


@_compiled("void(float32[:,::1], float32[:,::1], float32, float32, float32[::1], float32[::1])")
def move(position: Floats, velocity: Floats, top: np.float32, dt: np.float32, low: Floats, high: Floats) -> None:
    """Moves entities by one step and reflects them at the box, in place, as `reference.move` does."""
    for row in range(position.shape[0]):
        for axis in range(3):
            speed = min(max(velocity[row, axis], -top), top)
            place = position[row, axis] + speed * dt
            floor, ceiling = low[axis], high[axis]
            if place < floor or place > ceiling:
                speed = -speed
                if place < floor:
                    place = floor + (floor - place)
                if place > ceiling:
                    place = ceiling - (place - ceiling)
                if place < floor:  # noqa: PLR1730 - of two zeros `max` keeps one or the other, by the CPU
                    place = floor
                if place > ceiling:  # noqa: PLR1730 - likewise
                    place = ceiling
            velocity[row, axis] = speed
            position[row, axis] = place


@_compiled("void(float32[:,::1], float32[:,::1])")
def _extent(position: Floats, extent: Floats) -> None:
    """Writes the lowest and the highest coordinates of at least one entity to `extent`, (2, 3)."""
    extent[0] = position[0]
    extent[1] = position[0]
    for row in range(1, position.shape[0]):
        for axis in range(3):
            extent[0, axis] = min(extent[0, axis], position[row, axis])
            extent[1, axis] = max(extent[1, axis], position[row, axis])


@_compiled(
    "void(float32[:,::1], float32[:,::1], float32[::1], float32, int64, int64, int64, int32,"
    " int32[::1], int32[::1], int32[::1], float32[:,::1], float32[:,::1])"
)
def _sort_by_cell(
    position: Floats,
    velocity: Floats,
    low: Floats,
    inverse: np.float32,
    nx: int,
    ny: int,
    nz: int,
    crowd: int,
    cell: Places,
    start: Places,
    order: Places,
    near: Floats,
    moving: Floats,
) -> None:
    """Sorts entities by cell with a counting sort; `reference.cell_list` is the definition.

    `start` has two places more than the grid has cells, for counting; on return it holds the first place of every cell.
    On return `cell` is in the order of the rows, and `near` and `moving` are the positions and velocities in the order
    of the cells.
    """
    count = position.shape[0]
    start[:] = 0
    for row in range(count):
        x = min(np.int64((position[row, 0] - low[0]) * inverse), nx - 1) + 1
        y = min(np.int64((position[row, 1] - low[1]) * inverse), ny - 1) + 1
        z = min(np.int64((position[row, 2] - low[2]) * inverse), nz - 1) + 1
        here = np.int32((z * (ny + 2) + y) * (nx + 2) + x)
        if start[here + 2] < crowd:
            start[here + 2] += 1
            cell[row] = here
        else:
            cell[row] = -1
    total = np.int32(0)
    for here in range(start.shape[0]):
        total += start[here]
        start[here] = total
    # Before the loop start[c + 1] is the first place of c; filling moves it to the first place of c + 1.
    for row in range(count):
        here = cell[row]
        if here >= 0:
            place = start[here + 1]
            start[here + 1] = place + 1
            order[place] = row
            for axis in range(3):
                near[place, axis] = position[row, axis]
                moving[place, axis] = velocity[row, axis]


@_compiled("void(float32[:,::1], float32[:,::1], float32, int64, int64, int64, int32[::1])")
def _collide_pairs(
    near: Floats, moving: Floats, reach: np.float32, row_length: int, layer: int, cells: int, start: Places
) -> None:
    """Collides pair after pair, ordered by the earlier place and then by the later one; changes `moving`."""
    for here in range(cells):
        for place in range(start[here], start[here + 1]):
            px, py, pz = near[place, 0], near[place, 1], near[place, 2]
            vx, vy, vz = moving[place, 0], moving[place, 1], moving[place, 2]
            for part in range(5):
                # Half of the neighbours, in order: the entities behind `place` in its row of cells, then four rows.
                if part == 0:
                    begin, end = np.int64(place + 1), np.int64(start[here + 2])
                else:
                    middle = here + (row_length if part == 1 else layer + (part - 3) * row_length)
                    begin, end = np.int64(start[middle - 1]), np.int64(start[middle + 2])
                for other in range(begin, end):
                    dx, dy, dz = px - near[other, 0], py - near[other, 1], pz - near[other, 2]
                    square = dx * dx + dy * dy + dz * dz
                    if square < reach and square > MIN_SQUARE_DISTANCE:
                        wx, wy, wz = vx - moving[other, 0], vy - moving[other, 1], vz - moving[other, 2]
                        along = dx * wx + dy * wy + dz * wz
                        if along < np.float32(0):
                            factor = along / square
                            sx, sy, sz = factor * dx, factor * dy, factor * dz
                            vx, vy, vz = vx - sx, vy - sy, vz - sz
                            moving[other, 0] += sx
                            moving[other, 1] += sy
                            moving[other, 2] += sz
            moving[place, 0], moving[place, 1], moving[place, 2] = vx, vy, vz


@_compiled("void(float32[:,::1], float32[:,::1], float32, int64, int32[::1])")
def _write_back(velocity: Floats, moving: Floats, top: np.float32, count: int, order: Places) -> None:
    """Copies velocities from the order of the cells to the order of the rows, limited to `top` on every axis."""
    for place in range(count):
        row = order[place]
        for axis in range(3):
            velocity[row, axis] = min(max(moving[place, axis], -top), top)


class Collider:
    """The compiled `reference.collide` with its scratch memory, which keeps nothing from one tick to the next."""

    def __init__(self, diameter: np.float32, top: np.float32) -> None:
        self._diameter, self._top = diameter, top
        self._extent = np.empty((2, 3), np.float32)
        self._start = np.empty(MAX_CELLS + 2, np.int32)
        self._reserve(0)

    def collide(self, position: Floats, velocity: Floats) -> None:
        """Applies the collisions of one tick: changes velocities in place. Both arrays are float32 (n, 3)."""
        if len(position) == 0:
            return
        if len(position) > self._room:
            self._reserve(len(position) + len(position) // 4)
        _extent(position, self._extent)
        low, high = self._extent.tolist()
        grid = Grid.over(low, high, float(self._diameter) * CELL_MARGIN, len(position))
        (nx, ny, nz), cells = grid.counts, grid.cells
        start = self._start[: cells + 2]
        _sort_by_cell(
            position, velocity, self._extent[0], np.float32(1) / np.float32(grid.edge), nx, ny, nz, grid.crowd,
            self._cell, start, self._order, self._near, self._moving,
        )  # fmt: skip
        _collide_pairs(
            self._near, self._moving, self._diameter * self._diameter, nx + 2, (nx + 2) * (ny + 2), cells, start
        )
        _write_back(velocity, self._moving, self._top, int(start[cells]), self._order)

    def _reserve(self, room: int) -> None:
        self._room = room
        self._cell, self._order = (np.empty(room, np.int32) for _ in range(2))
        self._near, self._moving = (np.empty((room, 3), np.float32) for _ in range(2))
